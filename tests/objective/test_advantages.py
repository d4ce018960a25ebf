"""Advantages against formulas written out by hand."""

import math
import statistics

import pytest
import torch

from grpo_kit.objective.advantages import EPSILON, compute_advantages


def advantages(groups, baseline, scale, counted=None):
    rewards = torch.tensor([r for g in groups for r in g], dtype=torch.float64)
    index = torch.tensor([i for i, g in enumerate(groups) for _ in g])
    mask = torch.ones(len(rewards), dtype=torch.bool) if counted is None else torch.tensor(counted)
    return compute_advantages(rewards, index, mask, baseline=baseline, scale=scale).tolist()


def test_grpo_is_the_standard_score_within_each_group():
    groups = [[1.0, 0.0, 0.5, 0.25], [3.0, 7.0, 1.0, 1.0]]
    expected = [(r - statistics.mean(g)) / (statistics.stdev(g) + EPSILON) for g in groups for r in g]
    assert advantages(groups, "group_mean", "group_std") == pytest.approx(expected, rel=1e-12)


def test_groups_of_different_sizes_do_not_mix():
    groups = [[1.0, 0.0], [5.0, 2.0, 2.0]]
    assert advantages(groups, "group_mean", "none") == pytest.approx([0.5, -0.5, 2.0, -1.0, -1.0])


def test_leave_one_out_excludes_the_sample_itself():
    group = [1.0, 0.0, 0.0, 1.0]
    expected = [r - (sum(group) - r) / 3 for r in group]
    assert advantages([group], "leave_one_out", "none") == pytest.approx(expected)


def test_batch_statistics_span_groups():
    groups = [[1.0, 0.0], [0.0, 0.0]]
    flat = [1.0, 0.0, 0.0, 0.0]
    expected = [(r - 0.25) / (statistics.stdev(flat) + EPSILON) for r in flat]
    assert advantages(groups, "batch_mean", "batch_std") == pytest.approx(expected)


@pytest.mark.parametrize("baseline", ["group_mean", "leave_one_out", "batch_mean"])
@pytest.mark.parametrize("scale", ["none", "group_std", "batch_std"])
def test_a_group_that_agrees_has_no_advantage(baseline, scale):
    assert advantages([[0.7] * 4], baseline, scale) == pytest.approx([0.0] * 4, abs=1e-9)


@pytest.mark.parametrize("baseline", ["group_mean", "leave_one_out", "batch_mean"])
def test_uncounted_samples_change_nothing_for_the_others(baseline):
    """A crashed verifier must not act as a zero reward."""
    with_crash = advantages([[1.0, 0.0, 0.0]], baseline, "group_std", [True, True, False])
    without = advantages([[1.0, 0.0]], baseline, "group_std")
    assert with_crash[:2] == pytest.approx(without)
    assert with_crash[2] == 0.0


def test_a_lone_counted_sample_has_no_advantage():
    for baseline in ("group_mean", "leave_one_out"):
        assert advantages([[1.0, 0.3]], baseline, "none", [True, False]) == [0.0, 0.0]


def test_a_moving_average_knows_the_past_and_the_first_batch_only_itself():
    rewards, index, mask = torch.tensor([1.0, 0.0, 0.5]), torch.tensor([0, 0, 1]), torch.ones(3, dtype=torch.bool)
    settings = {"baseline": "moving_average", "scale": "none"}
    assert compute_advantages(rewards, index, mask, **settings).tolist() == pytest.approx([0.5, -0.5, 0.0])
    later = compute_advantages(rewards, index, mask, **settings, average=0.2)
    assert later.tolist() == pytest.approx([0.8, -0.2, 0.3])


def test_remax_compares_with_the_greedy_response_of_the_same_prompt():
    rewards, index, mask = torch.tensor([1.0, 0.0, 0.5]), torch.tensor([0, 0, 1]), torch.ones(3, dtype=torch.bool)
    greedy = torch.tensor([1.0, 0.0])
    found = compute_advantages(rewards, index, mask, baseline="greedy", scale="none", greedy=greedy)
    assert found.tolist() == [0.0, -1.0, 0.5]
    with pytest.raises(ValueError, match="greedy"):
        compute_advantages(rewards, index, mask, baseline="greedy", scale="none")


def test_bnpo_divides_by_the_fitted_beta_density():
    """Against scipy-free arithmetic: moments of the groups' means, Beta(1 + a/3, 1 + b/3) at each mean."""
    groups = [[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]]
    means = [0.25, 0.5, 0.75]
    strength = 0.25 / statistics.variance(means) - 1
    alpha = beta = 1 + 0.5 * strength / 3
    constant = math.gamma(alpha) * math.gamma(beta) / math.gamma(alpha + beta)
    expected = [
        (r - p) / (p ** (alpha - 1) * (1 - p) ** (beta - 1) / constant)
        for g, p in zip(groups, means, strict=True)
        for r in g
    ]
    assert advantages(groups, "group_mean", "beta_density") == pytest.approx(expected, rel=1e-9)


def test_bnpo_without_any_spread_divides_by_one():
    assert advantages([[1.0, 0.0], [0.0, 1.0]], "group_mean", "beta_density") == pytest.approx([0.5, -0.5, -0.5, 0.5])
