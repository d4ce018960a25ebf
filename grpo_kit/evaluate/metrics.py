"""Accuracy and its error when the problem, not the sample, is the independent unit. Pure functions on NumPy arrays.

Samples of one problem are alike: a hard problem is missed many times. Counting them as independent makes errors too
small (often by a factor of two or more), so every error here is that of the mean over problems (Miller 2024, "Adding
Error Bars to Evals", arXiv:2411.00640, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
LEVEL = 0.95
NAN = math.nan
BOOTSTRAP_DRAWS = 4000
_CELLS = 4_000_000  # numbers that one block of a bootstrap may hold


@dataclass(frozen=True)
class Estimate:
    """A mean over problems with its standard error and 95 % interval; NaN where it cannot be known."""

    value: float
    error: float
    low: float
    high: float
    problems: int


NOTHING = Estimate(math.nan, math.nan, math.nan, math.nan, 0)


def proportion(problem_means: ArrayLike, samples: int | None = None) -> Estimate:
    """The mean of numbers in [0, 1], one per problem, with an interval that stays in [0, 1].

    Args:
        problem_means: [problems], for example each problem's share of right samples (avg@n) or its pass@k.
        samples: completions behind them in all; default: one per problem.
    """
    means = np.asarray(problem_means, dtype=float)
    if not means.size:
        return NOTHING
    value, error = float(means.mean()), float(standard_error(means))
    low, high = wilson_interval(value, error, means.size, samples or means.size)
    return Estimate(value, error, float(low), float(high), means.size)


def standard_error(problem_means: ArrayLike) -> Array:
    """Clustered standard error of the mean over the last axis: [..., problems] -> [...]; NaN for one problem."""
    means = np.asarray(problem_means, dtype=float)
    if means.shape[-1] < 2:
        return np.full(means.shape[:-1], np.nan)
    return np.asarray(means.std(axis=-1, ddof=1) / math.sqrt(means.shape[-1]))


def naive_error(value: float, samples: int) -> float:
    """The error that would hold if all samples were independent: ``sqrt(p (1 - p) / samples)``."""
    return math.sqrt(value * (1.0 - value) / samples) if samples else math.nan


def sampling_error(right: Sequence[int], counted: Sequence[int]) -> float:
    """The part of the error that more samples of the same problems would remove.

    Args:
        right, counted: [problems] right and judged samples of each problem. NaN if a problem has fewer than 2.
    """
    c, n = np.asarray(right, dtype=float), np.asarray(counted, dtype=float)
    if not n.size or n.min() < 2:
        return math.nan
    share = c / n
    return float(np.sqrt((share * (1 - share) / (n - 1)).sum()) / n.size)


def wilson_interval(value: ArrayLike, error: ArrayLike, problems: int, samples: int) -> tuple[Array, Array]:
    """95 % interval of a proportion from its clustered error: Wilson's, with the effective sample size.

    The effective size is what independent trials would need for the same error (``p (1 - p) / error^2``), at most
    ``samples``, and the number of problems where the error is 0 and says nothing. The quantile is Student's with
    ``problems - 1`` degrees of freedom. (Franco, Little, Louis and Slud 2019, "Comparative Study of Confidence Intervals
    for Proportions in Complex Sample Surveys".) Works on arrays of estimates.
    """
    p, se = np.asarray(value, dtype=float), np.asarray(error, dtype=float)
    if problems < 2:
        return np.full(p.shape, np.nan), np.full(p.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(se > 0, p * (1 - p) / se**2, problems)
    size = np.clip(np.where(size > 0, size, problems), 1.0, max(samples, problems))
    t2 = t_quantile(0.5 + LEVEL / 2, problems - 1) ** 2
    centre = (p + t2 / (2 * size)) / (1 + t2 / size)
    half = np.sqrt(t2 * (p * (1 - p) / size + t2 / (4 * size**2))) / (1 + t2 / size)
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def t_quantile(probability: float, degrees: int) -> float:
    """Student's quantile: exact for 1 and 2 degrees of freedom, else Cornish-Fisher's expansion (Abramowitz and
    Stegun 26.7.5), whose error is below 0.3 % at 3 and below 0.01 % from 10 on."""
    if degrees == 1:
        return math.tan(math.pi * (probability - 0.5))
    if degrees == 2:
        return (2 * probability - 1) / math.sqrt(2 * probability * (1 - probability))
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / degrees**power for power, term in enumerate(terms, start=1))


def cluster_bootstrap(problem_values: ArrayLike, draws: int = BOOTSTRAP_DRAWS, seed: int = 0) -> Estimate:
    """The mean over problems with error and percentile interval from resampling whole problems.

    The error is the standard deviation of the bootstrap means: it does not shrink with the number of draws.
    """
    values = np.asarray(problem_values, dtype=float)
    if values.size < 2:
        value = float(values.mean()) if values.size else math.nan
        return Estimate(value, math.nan, math.nan, math.nan, values.size)
    means = bootstrap_means(values, draws, seed)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(values.mean()), float(means.std(ddof=1)), float(low), float(high), values.size)


def bootstrap_means(problem_values: Array, draws: int, seed: int) -> Array:
    """[problems] -> [draws]: means of resampled problems."""
    rng = np.random.default_rng(seed)
    size = problem_values.size
    block = max(1, _CELLS // size)
    parts = []
    for start in range(0, draws, block):
        chosen = rng.integers(0, size, (min(block, draws - start), size))
        parts.append(problem_values[chosen].mean(axis=1))
    return np.concatenate(parts)


def pass_at_k(right: ArrayLike, samples: ArrayLike, k: int) -> Array:
    """Unbiased chance that at least one of k samples is right: ``1 - C(n - c, k) / C(n, k)``, elementwise.

    Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv:2107.03374, equation 1.

    Args:
        right, samples: c and n of each problem; NaN where n < k.
    """
    c, n = np.broadcast_arrays(np.asarray(right, dtype=float), np.asarray(samples, dtype=float))
    missing = np.ones(c.shape)
    for i in range(k):  # C(n - c, k) / C(n, k) as a product of k factors, none of which overflows
        with np.errstate(divide="ignore", invalid="ignore"):
            missing = missing * np.clip((n - c - i) / (n - i), 0.0, None)
    return np.where(n >= k, 1.0 - missing, np.nan)


def majority_at_k(sizes: Sequence[int], rights: Sequence[float], blank: int, k: int) -> float:
    """Chance that the plurality of k of the n samples, drawn without replacement, is right; ties are drawn by lot.

    Args:
        sizes: how many samples gave each distinct answer.
        rights: how right each of these answers is (0 or 1).
        blank: samples without an answer; they are drawn but have no vote.
    """
    n = sum(sizes) + blank
    if not 1 <= k <= n:
        raise ValueError(f"k must be between 1 and the {n} samples, got {k}")
    if k == n:
        most = max(sizes, default=0)
        leaders = [right for size, right in zip(sizes, rights, strict=True) if size == most]
        return float(sum(leaders) / len(leaders)) if leaders else 0.0
    chance = 0.0
    for index, right in enumerate(rights):
        if right:
            others = [*sizes[:index], *sizes[index + 1 :]]
            chance += right * _winning_draws(sizes[index], others, blank, k)
    return chance / math.comb(n, k)


def _winning_draws(own: int, others: Sequence[int], blank: int, k: int) -> float:
    """Draws of k in which an answer with ``own`` samples wins; a tie among t answers counts 1 / t."""
    total = 0.0
    for votes in range(1, min(own, k) + 1):
        rest = k - votes
        # ways[tied][drawn]: choices from the other answers with ``tied`` of them at exactly ``votes``.
        ways = np.zeros((rest // votes + 1, rest + 1))
        ways[0] = [math.comb(blank, drawn) for drawn in range(rest + 1)]
        for size in others:
            ways = _add_answer(ways, size, votes)
        total += math.comb(own, votes) * float(sum(row[rest] / (tied + 1) for tied, row in enumerate(ways)))
    return total


def _add_answer(ways: Array, size: int, votes: int) -> Array:
    below = [math.comb(size, drawn) for drawn in range(min(size, votes - 1) + 1)]
    added = np.stack([np.convolve(row, below)[: row.size] for row in ways])
    if size >= votes and ways.shape[0] > 1:
        added[1:, votes:] += math.comb(size, votes) * ways[:-1, : ways.shape[1] - votes]
    return added


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value that two paired proportions differ: a binomial test on the discordant pairs."""
    n, k = only_first + only_second, min(only_first, only_second)
    if not n:
        return 1.0
    term = tail = 1
    for i in range(k):
        term = term * (n - i) // (i + 1)
        tail += term
    return min(1.0, float(2 * tail / 2**n) if n < 1000 else math.exp(math.log(2 * tail) - n * math.log(2)))


@dataclass(frozen=True)
class Difference:
    """Mean of (second - first) over the problems that both answered, and how sure it is."""

    value: float
    error: float
    low: float
    high: float
    p_value: float
    bootstrap_low: float
    bootstrap_high: float
    correlation: float
    problems: int


def paired_difference(first: ArrayLike, second: ArrayLike, draws: int = BOOTSTRAP_DRAWS, seed: int = 0) -> Difference:
    """Compare two models on the same problems: [problems] each, same order.

    Pairing removes the problems' difficulty from the error, which is why it sees smaller differences than two separate
    intervals do. The interval is Student's, the second one a bootstrap over problems, the p-value a two-sided t-test's.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape:
        raise ValueError(f"paired values need the same shape, got {a.shape} and {b.shape}")
    difference = b - a
    value, problems = float(difference.mean()) if a.size else math.nan, a.size
    if problems < 2:
        return Difference(value, NAN, NAN, NAN, NAN, NAN, NAN, NAN, problems)
    error = float(standard_error(difference))
    half = t_quantile(0.5 + LEVEL / 2, problems - 1) * error
    boot = cluster_bootstrap(difference, draws, seed)
    spread = a.std() * b.std()
    correlation = float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else math.nan
    p_value = _t_test(value / error, problems - 1) if error > 0 else float(value == 0)
    return Difference(value, error, value - half, value + half, p_value, boot.low, boot.high, correlation, problems)


def _t_test(statistic: float, degrees: int) -> float:
    """Two-sided p-value: Student's distribution by way of the normal one (Wallace 1959), within 0.001 from 5 on."""
    z = math.sqrt(degrees * math.log1p(statistic**2 / degrees)) * (8 * degrees + 1) / (8 * degrees + 3)
    return 2 * (1 - NormalDist().cdf(z))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for being one of several (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
