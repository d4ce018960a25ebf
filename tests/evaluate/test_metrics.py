"""Estimators against closed forms, enumeration and simulation."""

import itertools
import math
import statistics

import numpy as np
import pytest

from grpo_kit.evaluate.metrics import (
    cluster_bootstrap,
    holm,
    majority_at_k,
    mcnemar,
    naive_error,
    paired_difference,
    pass_at_k,
    proportion,
    sampling_error,
    standard_error,
    t_quantile,
    wilson_interval,
)

rng = np.random.default_rng


def simulate(studies, problems, samples, a, b, seed=0):
    """[studies, problems] shares of right samples; difficulties are Beta(a, b), so the truth is a / (a + b)."""
    random = rng(seed)
    return random.binomial(samples, random.beta(a, b, (studies, problems))) / samples


@pytest.mark.parametrize(
    ("problems", "samples", "a", "b"),
    [
        (100, 8, 2.0, 1.0),
        (100, 8, 0.5, 0.5),
        (30, 16, 1.0, 2.0),
        (500, 1, 1.0, 1.0),
        (200, 4, 4.0, 0.5),
        (1000, 8, 0.3, 0.7),
    ],
)
def test_the_interval_covers_the_truth_95_percent_of_the_time(problems, samples, a, b):
    means = simulate(4000, problems, samples, a, b)
    low, high = wilson_interval(means.mean(axis=1), standard_error(means), problems, problems * samples)
    truth = a / (a + b)
    assert 0.93 <= np.mean((low <= truth) & (truth <= high)) <= 0.97


def test_the_naive_error_does_not_cover():
    means = simulate(4000, 100, 8, 0.5, 0.5)
    value = means.mean(axis=1)
    half = 1.96 * np.sqrt(value * (1 - value) / 800)
    assert np.mean(np.abs(value - 0.5) <= half) < 0.75


def test_the_closed_form_and_the_bootstrap_give_the_true_spread():
    means = simulate(4000, 200, 4, 1.0, 1.0)
    truth = means.mean(axis=1).std()
    assert standard_error(means).mean() == pytest.approx(truth, rel=0.03)
    boot = np.mean([cluster_bootstrap(row, 500, seed=i).error for i, row in enumerate(means[:60])])
    assert boot == pytest.approx(truth, rel=0.05)


def test_the_bootstrap_error_does_not_depend_on_the_number_of_draws():
    values = simulate(1, 200, 4, 1.0, 1.0)[0]
    few, many = cluster_bootstrap(values, 500), cluster_bootstrap(values, 20_000)
    assert few.error == pytest.approx(many.error, rel=0.15)
    assert many.error == pytest.approx(float(standard_error(values)), rel=0.02)


def test_the_bootstrap_interval_covers():
    studies = simulate(600, 150, 4, 1.0, 1.0, seed=3)
    boots = [cluster_bootstrap(row, 400, seed=i) for i, row in enumerate(studies)]
    assert 0.92 <= np.mean([b.low <= 0.5 <= b.high for b in boots]) <= 0.975


def test_paired_intervals_cover_and_see_more_than_unpaired_ones():
    """Two models of the same problems; the second is better by 0.05 on average."""
    random = rng(1)
    difficulty = random.beta(0.6, 0.6, (4000, 150)) * 0.9
    first, second = (random.binomial(8, p) / 8 for p in (difficulty, difficulty + 0.05))
    difference = second - first
    error = standard_error(difference)
    half = t_quantile(0.975, 149) * error
    assert 0.93 <= np.mean(np.abs(difference.mean(axis=1) - 0.05) <= half) <= 0.97
    unpaired = np.hypot(standard_error(first), standard_error(second))
    seen = np.mean(difference.mean(axis=1) > 1.96 * error)
    seen_unpaired = np.mean(difference.mean(axis=1) > 1.96 * unpaired)
    assert seen > 0.85
    assert seen_unpaired < 0.5
    null = random.binomial(8, difficulty) / 8 - first
    assert 0.03 <= np.mean(np.abs(null.mean(axis=1)) > 1.96 * standard_error(null)) <= 0.07


def test_paired_difference_agrees_with_its_parts():
    first, second = simulate(2, 80, 8, 1.0, 1.0, seed=5)
    found = paired_difference(first, second, draws=20_000)
    assert found.value == pytest.approx((second - first).mean())
    assert found.error == pytest.approx(statistics.stdev(second - first) / math.sqrt(80))
    assert (found.bootstrap_low, found.bootstrap_high) == pytest.approx((found.low, found.high), abs=0.01)
    assert found.correlation == pytest.approx(np.corrcoef(first, second)[0, 1])
    same = paired_difference(first, first)
    assert (same.value, same.p_value) == (0.0, 1.0)
    assert paired_difference([0.0] * 9, [1.0] * 9).p_value == 0.0


# Two-sided 50 %, 5 % and 1 % points of Student's distribution.
@pytest.mark.parametrize(
    ("degrees", "statistics_of"),
    [(5, (0.7267, 2.5706, 4.0321)), (10, (0.6998, 2.2281, 3.1693)), (99, (0.6770, 1.9842, 2.6264))],
)
def test_the_p_value_of_a_paired_test_is_students(degrees, statistics_of):
    spread = np.resize([1.0, -1.0], degrees + 1) if degrees % 2 else np.array([1.0, -1.0] * (degrees // 2) + [0.0])
    error = float(standard_error(spread))
    for statistic, p_value in zip(statistics_of, (0.5, 0.05, 0.01), strict=True):
        found = paired_difference(np.zeros(degrees + 1), spread + statistic * error, draws=2)
        assert found.p_value == pytest.approx(p_value, abs=1e-3)


def test_intervals_at_the_edge_are_not_of_width_zero():
    everything = proportion([1.0] * 50, 200)
    assert everything.value == everything.high == 1.0
    assert 0.9 < everything.low < 0.96  # Wilson's for 50 of 50
    assert math.isnan(proportion([0.5]).low)
    assert math.isnan(proportion([]).value)


def test_errors_of_known_data():
    means = [0.5, 1.0, 0.0]
    assert proportion(means, 12).error == pytest.approx(statistics.stdev(means) / math.sqrt(3))
    assert naive_error(0.91, 800) == pytest.approx(0.0101, abs=1e-4)
    # All the spread comes from sampling where every problem has the same chance.
    right = rng(0).binomial(8, 0.5, 5000)
    assert sampling_error(right, [8] * 5000) == pytest.approx(float(standard_error(right / 8)), rel=0.03)
    assert sampling_error([4, 4], [4, 4]) == 0.0
    assert math.isnan(sampling_error([1], [1]))


STUDENT = {1: 12.7062, 2: 4.3027, 3: 3.1824, 5: 2.5706, 10: 2.2281, 30: 2.0423, 100: 1.9840}


@pytest.mark.parametrize("degrees", STUDENT)
def test_student_quantiles(degrees):
    assert t_quantile(0.975, degrees) == pytest.approx(STUDENT[degrees], rel=3e-3 if degrees < 10 else 1e-4)


def test_pass_at_k_is_the_mean_over_all_subsets():
    for n in range(1, 8):
        for c in range(n + 1):
            outcomes = [1] * c + [0] * (n - c)
            for k in range(1, n + 1):
                truth = np.mean([max(s) for s in itertools.combinations(outcomes, k)])
                assert float(pass_at_k(c, n, k)) == pytest.approx(truth, abs=1e-12)
    assert np.isnan(pass_at_k(1, 3, 4))
    assert float(pass_at_k(3, 10_000, 5_000)) == pytest.approx(1 - 0.5**3, abs=1e-3)


def vote(sample, right):
    answers = [a for a in sample if a is not None]
    if not answers:
        return 0.0
    most = max(answers.count(a) for a in answers)
    leaders = [a for a in set(answers) if answers.count(a) == most]
    return sum(right[a] for a in leaders) / len(leaders)


@pytest.mark.parametrize(
    ("sizes", "blank"), [((3, 2, 1), 2), ((4,), 0), ((2, 2, 2), 1), ((1, 1, 1, 1), 0), ((), 4), ((5, 3), 0)]
)
def test_majority_is_the_mean_over_all_subsets(sizes, blank):
    samples = [i for i, size in enumerate(sizes) for _ in range(size)] + [None] * blank
    for winner in range(max(1, len(sizes))):
        right = [float(i == winner) for i in range(len(sizes))]
        for k in range(1, len(samples) + 1):
            truth = np.mean([vote(list(s), right) for s in itertools.combinations(samples, k)])
            assert majority_at_k(sizes, right, blank, k) == pytest.approx(truth, abs=1e-12)


def test_majority_of_many_samples():
    assert majority_at_k([60, 40, 20, 8], [1, 0, 0, 0], 0, 64) > 0.95
    with pytest.raises(ValueError, match="between 1 and the 3 samples"):
        majority_at_k([3], [1], 0, 4)


def test_mcnemar_is_the_exact_binomial_test():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar(9, 1) == mcnemar(1, 9)
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(1100, 1300) == pytest.approx(4.8e-5, rel=0.05)


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
