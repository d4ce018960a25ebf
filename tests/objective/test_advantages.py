"""Advantages against formulas written out by hand."""

import math
import statistics

import pytest
import torch

from grpo_kit.objective.advantages import EPSILON, Rewards, compute_advantages, weigh_signs


def advantages(groups, baseline, scale, counted=None, lengths=None):
    rewards = torch.tensor([r for g in groups for r in g], dtype=torch.float64)
    index = torch.tensor([i for i, g in enumerate(groups) for _ in g])
    mask = torch.ones(len(rewards), dtype=torch.bool) if counted is None else torch.tensor(counted)
    tokens = None if lengths is None else torch.tensor([n for g in lengths for n in g])
    return compute_advantages(Rewards(rewards, index, mask, lengths=tokens), baseline=baseline, scale=scale).tolist()


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
    assert compute_advantages(Rewards(rewards, index, mask), **settings).tolist() == pytest.approx([0.5, -0.5, 0.0])
    later = compute_advantages(Rewards(rewards, index, mask, average=0.2), **settings)
    assert later.tolist() == pytest.approx([0.8, -0.2, 0.3])


def test_remax_compares_with_the_greedy_response_of_the_same_prompt():
    rewards, index, mask = torch.tensor([1.0, 0.0, 0.5]), torch.tensor([0, 0, 1]), torch.ones(3, dtype=torch.bool)
    greedy = torch.tensor([1.0, 0.0])
    found = compute_advantages(Rewards(rewards, index, mask, greedy), baseline="greedy", scale="none")
    assert found.tolist() == [0.0, -1.0, 0.5]
    with pytest.raises(ValueError, match="greedy"):
        compute_advantages(Rewards(rewards, index, mask), baseline="greedy", scale="none")


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


def test_opo_weighs_the_group_by_length():
    groups, lengths = [[1.0, 0.0, 0.5], [0.0, 1.0]], [[10, 30, 5], [7, 2]]
    expected = []
    for rewards, tokens in zip(groups, lengths, strict=True):
        baseline = sum(r * n for r, n in zip(rewards, tokens, strict=True)) / sum(tokens)
        expected += [r - baseline for r in rewards]
    assert advantages(groups, "length_weighted_mean", "none", lengths=lengths) == pytest.approx(expected, rel=1e-12)


def test_opo_has_the_least_variance_where_gradients_grow_with_length():
    """Gradients of squared norm L: the variance of (R - b) g, summed over responses, is least at OPO's b."""
    rewards, lengths = [1.0, 0.0, 0.5, 0.0], [10, 30, 5, 12]

    def variance(baseline):
        return sum((r - baseline) ** 2 * n for r, n in zip(rewards, lengths, strict=True))

    best = rewards[0] - advantages([rewards], "length_weighted_mean", "none", lengths=[lengths])[0]
    assert variance(best) < min(variance(best + 0.01), variance(best - 0.01), variance(statistics.mean(rewards)))


def test_opo_without_lengths_is_an_error():
    with pytest.raises(ValueError, match="needs the lengths"):
        advantages([[1.0, 0.0]], "length_weighted_mean", "none")


def test_maxrl_divides_by_the_success_rate():
    groups = [[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0], [0.0] * 4, [1.0] * 4]
    expected = [(r - statistics.mean(g)) / (statistics.mean(g) + EPSILON) if sum(g) else 0.0 for g in groups for r in g]
    assert advantages(groups, "group_mean", "group_mean") == pytest.approx(expected, rel=1e-12)


def test_maxrls_gradient_is_that_of_the_log_of_the_success_rate():
    """A policy of two answers, one right: the mean of A d log pi over the group is d log p."""
    logit = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
    right = torch.sigmoid(logit)
    count = 10**4
    successes = round(count * right.item())
    gained = advantages([[1.0] * successes + [0.0] * (count - successes)], "group_mean", "group_mean")
    objective = (sum(gained[:successes]) * right.log() + sum(gained[successes:]) * (1 - right).log()) / count
    (found,) = torch.autograd.grad(objective, logit, retain_graph=True)
    (wanted,) = torch.autograd.grad(right.log(), logit)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-3)


def test_bernoulli_deviation():
    groups = [[1.0, 0.0, 0.0, 0.0], [0.5, 1.0]]
    expected = []
    for g in groups:
        mean = statistics.mean(g)
        expected += [(r - mean) / (math.sqrt(mean * (1 - mean)) + EPSILON) for r in g]
    assert advantages(groups, "group_mean", "bernoulli_std") == pytest.approx(expected, rel=1e-12)


def test_each_sign_has_its_weight():
    values = torch.tensor([2.0, -3.0, 0.0], dtype=torch.float64)
    assert weigh_signs(values, 0.1, 1.0).tolist() == pytest.approx([0.2, -3.0, 0.0])
    assert weigh_signs(values, 0.0, 0.5).tolist() == pytest.approx([0.0, -1.5, 0.0])
