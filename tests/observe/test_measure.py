"""Metrics of several ranks become those of one, each as it says."""

import pickle
import statistics

import pytest

from grpo_kit.observe.measure import MERGES, Measure, merged
from grpo_kit.scoring.statistics import VerifierStatistics
from grpo_kit.types import Score


@pytest.mark.parametrize(
    ("one", "other", "whole"),
    [
        (Measure(3, "sum"), Measure(0, "sum"), 3),
        (Measure(1.0, "mean", 10), Measure(0.0, "mean", 100), 1 / 11),
        (Measure(2.0, "max"), Measure(5.0, "max"), 5),
        (Measure(2.0, "min"), Measure(5.0, "min"), 2),
        (Measure(2.0, "last"), Measure(5.0, "last"), 5),
        (Measure(0.0, "std", 2, mean=1.0), Measure(0.0, "std", 2, mean=0.0), 0.5),
    ],
)
def test_each_kind_merges_as_it_says(one, other, whole):
    assert merged([{"m": one}, {"m": pickle.loads(pickle.dumps(other))}]) == {"m": pytest.approx(whole)}


def test_every_kind_is_tried_above():
    assert set(MERGES) == {"sum", "mean", "max", "min", "last", "std"}


def test_a_metric_of_one_rank_only_stays():
    assert merged([{"a": Measure(2.0, "mean", 4)}, {}]) == {"a": 2.0}


def test_a_number_that_does_not_say_how_is_refused():
    with pytest.raises(TypeError, match="metric a does not say how it merges"):
        merged([{"a": 1.0}])
    with pytest.raises(TypeError, match="merges as max and as sum"):
        merged([{"a": Measure(1.0, "sum")}, {"a": Measure(1.0, "max")}])


def test_verdicts_of_two_ranks_are_those_of_one():
    """3 errors among 110 calls are 3, and a mean over 100 and 10 calls is that of 110."""
    scores = [Score(float(i % 3 == 0), metrics={"size": float(i)}) for i in range(107)] + [Score(status="error")] * 3
    whole, parts = VerifierStatistics(), [VerifierStatistics(), VerifierStatistics()]
    for index, score in enumerate(scores):
        whole.add(score, seconds=0.5)
        parts[index % 11 == 0].add(score, seconds=0.5)
    found = merged([part.summary() for part in parts])
    assert found == pytest.approx(whole.summary())
    assert (found["count"], found["error"]) == (110, 3)
    assert found["std"] == pytest.approx(statistics.pstdev(s.value for s in scores if s.counts))
