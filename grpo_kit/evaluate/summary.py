"""From judged completions to the numbers of a table."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from grpo_kit.types import RIGHT_UNMARKED

from .episodes import episode_metrics
from .metrics import (
    NOTHING,
    Estimate,
    cluster_bootstrap,
    majority_at_k,
    naive_error,
    pass_at_k,
    proportion,
    sampling_error,
)
from .records import Record
from .votes import ProblemKey, Votes

MOST_SAMPLES_FOR_EVERY_K = 32  # above, maj@k of k < n costs more than it tells


@dataclass(frozen=True)
class TaskMetrics:
    """What is known about one task. Shares are of sampled completions (of greedy ones where nothing was sampled).

    Attributes:
        samples: n, the completions sampled for each problem; the most where ``fewest_samples`` is less.
        avg: avg@n, the mean over problems of the share of right samples, with its error clustered by problem.
        avg_bootstrap: the same from resampling problems.
        naive_error: what the error would be if samples were independent.
        sampling_error: the part of ``avg.error`` that more samples of the same problems would remove.
        pass_at, majority_at: by k up to ``fewest_samples``, over the problems with at least k judged samples. A larger k
            would be of the problems with most samples alone.
        no_answer: share without an extracted answer; NaN where the verifier extracts none.
        right_unmarked: share whose answer nothing marks as one, though it would be right; NaN where the verifier does not look.
        unscored: completions that no verifier judged, by status; they are neither right nor wrong.
        avg_worst: avg@n if all of these were wrong.
        length_right, length_wrong: mean length in ``length_unit``; of an episode, what was sampled in all its turns.
        episodes: turns, calls and endings, with errors (`episode_metrics`); empty where no environment answered.
    """

    problems: int
    samples: int
    fewest_samples: int
    completions: int
    avg: Estimate
    avg_bootstrap: Estimate
    naive_error: float
    sampling_error: float
    pass_at: dict[int, Estimate]
    majority_at: dict[int, Estimate]
    greedy: Estimate
    truncated: float
    no_answer: float
    right_unmarked: float
    unscored: dict[str, int]
    avg_worst: float
    length_right: float
    length_wrong: float
    length_unit: str
    episodes: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = _without_nan(dataclasses.asdict(self))
        return fields if self.episodes else {name: value for name, value in fields.items() if name != "episodes"}


def summarise(
    records: Sequence[Record], votes: Mapping[ProblemKey, Votes] | None = None, *, extracts: bool = True
) -> TaskMetrics:
    """The metrics of one task's records.

    Args:
        votes: see `count_votes`; without them there is no maj@k.
        extracts: whether who judged looks for an answer in the text.
    """
    sampled: dict[str, list[Record]] = defaultdict(list)
    greedy = []
    for record in records:
        if record.sample >= 0:
            sampled[record.id].append(record)
        else:
            greedy.append(record)
    flat = [r for group in sampled.values() for r in group] or greedy
    counted = [[r.right for r in group if r.counts] for group in sampled.values()]
    right, judged = [sum(c) for c in counted if c], [len(c) for c in counted if c]
    shares = [c / n for c, n in zip(right, judged, strict=True)]
    avg = proportion(shares, sum(judged))
    samples = max(map(len, sampled.values()), default=0)
    fewest = min(map(len, sampled.values()), default=0)
    majority = _majority(sampled, votes, fewest) if votes is not None else {}
    unscored = Counter(r.status for r in flat if not r.counts)
    lengths = {yes: [_length(r) for r in flat if r.counts and r.right == yes] for yes in (True, False)}
    return TaskMetrics(
        problems=len(sampled) or len(greedy),
        samples=samples,
        fewest_samples=fewest,
        completions=len(flat),
        avg=avg,
        avg_bootstrap=cluster_bootstrap(shares),
        naive_error=naive_error(sum(right) / sum(judged), sum(judged)) if judged else math.nan,
        sampling_error=sampling_error(right, judged),
        pass_at=_pass(right, judged, fewest),
        majority_at=majority,
        greedy=proportion([float(r.right) for r in greedy if r.counts]),
        truncated=_share([r.finish == "length" for r in flat]) if any(r.finish for r in flat) else math.nan,
        no_answer=_no_answer(flat) if extracts else math.nan,
        right_unmarked=_right_unmarked(flat),
        unscored=dict(unscored),
        avg_worst=fmean(sum(r.right for r in g) / len(g) for g in sampled.values()) if sampled else math.nan,
        length_right=_mean(lengths[True]),
        length_wrong=_mean(lengths[False]),
        length_unit="tokens" if flat and flat[0].token_ids else "characters",
        episodes=episode_metrics(flat),
    )


def powers_of_two(n: int) -> list[int]:
    """1, 2, 4, ... below n, and n."""
    return [*(2**i for i in range(n.bit_length()) if 2**i < n), n] if n else []


def _pass(right: list[int], judged: list[int], samples: int) -> dict[int, Estimate]:
    found = {}
    for k in powers_of_two(samples):
        values = pass_at_k(right, judged, k)
        values = values[~np.isnan(values)]
        found[k] = proportion(values, int(sum(judged))) if values.size else NOTHING
    return found


def _majority(
    sampled: Mapping[str, list[Record]], votes: Mapping[ProblemKey, Votes], samples: int
) -> dict[int, Estimate]:
    ks = powers_of_two(samples) if samples <= MOST_SAMPLES_FOR_EVERY_K else [samples]
    every = [votes[group[0].task, id] for id, group in sampled.items()]
    found = {}
    for k in ks:
        values = [majority_at_k(v.sizes, v.rights, v.blank, k) for v in every if sum(v.sizes) + v.blank >= k]
        found[k] = proportion(values)
    return found


def _no_answer(records: Sequence[Record]) -> float:
    judged = [r for r in records if r.counts]
    extracts = any(r.extracted is not None for r in judged) or not any(r.right for r in judged)
    return _share([r.extracted is None for r in judged]) if judged and extracts else math.nan


def _right_unmarked(records: Sequence[Record]) -> float:
    looked = [r.metrics[RIGHT_UNMARKED] for r in records if RIGHT_UNMARKED in r.metrics]
    return sum(looked) / len(records) if looked else math.nan


def _length(record: Record) -> int:
    return len(record.token_ids) or len(record.response)


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else math.nan


def _mean(values: Sequence[int]) -> float:
    return fmean(values) if values else math.nan


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what is not known is null."""
    if isinstance(value, dict):
        return {str(k): _without_nan(v) for k, v in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
