"""Metrics of micro-batches, updates, verdicts and ranks become one, each as it says."""

import operator
import pickle
import statistics

import pytest
import torch

from grpo_kit.observe.measure import Measure, Measures, read
from grpo_kit.runtime import ranks
from grpo_kit.scoring.statistics import VerifierStatistics
from grpo_kit.types import Score


def by_ranks(*parts):
    """What the ranks that hold these parts come to, their messages pickled as gloo does."""
    before, ranks.all_gather = (
        ranks.all_gather,
        lambda value, purpose: [pickle.loads(pickle.dumps(p.merged())) for p in parts],
    )
    try:
        return parts[0].over_ranks("a test")
    finally:
        ranks.all_gather = before


KINDS = [
    (Measure.sum(3), Measure.sum(0), 3),
    (Measure.mean(10.0, 10), Measure.mean(0.0, 100), 1 / 11),
    (Measure.max(2.0), Measure.max(5.0), 5),
    (Measure.min(2.0), Measure.min(5.0), 2),
    (Measure.last(2.0), Measure.last(5.0), 5),
    (Measure.std(2.0, 2.0, 2), Measure.std(0.0, 0.0, 2), 0.5),
]


@pytest.mark.parametrize(("one", "other", "whole"), KINDS)
@pytest.mark.parametrize("way", ["added", "joined", "ranks"])
def test_each_kind_merges_as_it_says_wherever_it_is_merged(one, other, whole, way):
    parts = Measures({"m": one}), Measures({"m": other})
    if way == "added":
        parts[0].add("m", other)
        found = parts[0]
    else:
        found = by_ranks(*parts) if way == "ranks" else operator.or_(*parts)
    assert found == {"m": pytest.approx(whole)}


def test_every_kind_is_tried_above():
    from typing import get_args

    from grpo_kit.observe.measure import Kind

    assert {one.kind for one, _, _ in KINDS} == set(get_args(Kind))


def test_how_values_are_split_over_micro_batches_and_ranks_does_not_matter():
    values = torch.arange(12, dtype=torch.float64)
    split = [Measures() for _ in range(3)]
    for index, part in enumerate(values.split([1, 1, 3, 4, 2, 1])):
        split[index % 3].means({"mean": part})
        split[index % 3].add("max", Measure.max(part.max()))
        split[index % 3].add("sum", Measure.sum(part.sum()))
    assert by_ranks(*split) == {"mean": values.mean().item(), "max": 11.0, "sum": 66.0}


def test_a_metric_of_one_rank_only_stays():
    assert by_ranks(Measures({"a": Measure.mean(8.0, 4)}), Measures()) == {"a": 2.0}


def test_a_mean_of_nothing_is_zero():
    assert float(Measure.mean(0.0, 0)) == float(Measure.std(0.0, 0.0, 0)) == 0.0


def test_two_kinds_under_one_name_are_refused():
    with pytest.raises(TypeError, match="merges as max and as sum"):
        by_ranks(Measures({"a": Measure.max(1.0)}), Measures({"a": Measure.sum(1.0)}))
    metrics = Measures({"a": Measure.max(1.0)})
    metrics.add("a", Measure.mean(1.0))
    with pytest.raises(TypeError, match="merges as max and as mean"):
        dict(metrics)


def test_tensors_are_read_as_they_are():
    numbers = [1, torch.tensor(0.1), torch.tensor(0.1, dtype=torch.float64), 2.5, torch.tensor(3), torch.tensor(True)]
    assert read(numbers) == [1.0, torch.tensor(0.1).item(), 0.1, 2.5, 3.0, 1.0]


def test_verdicts_of_two_ranks_are_those_of_one():
    """3 errors among 110 calls are 3, and a mean over 100 and 10 calls is that of 110."""
    scores = [Score(float(i % 3 == 0), metrics={"size": float(i)}) for i in range(107)] + [Score(status="error")] * 3
    whole, parts = VerifierStatistics(), [VerifierStatistics(), VerifierStatistics()]
    for index, score in enumerate(scores):
        whole.add(score, seconds=0.5)
        parts[index % 11 == 0].add(score, seconds=0.5)
    found = by_ranks(*(Measures(part.summary()) for part in parts))
    assert dict(found) == pytest.approx(dict(Measures(whole.summary())))
    assert (found["count"], found["error"]) == (110, 3)
    assert found["std"] == pytest.approx(statistics.pstdev(s.value for s in scores if s.counts))
