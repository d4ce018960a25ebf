"""What is made of rewards before they are compared, against formulas in plain Python and the papers' own numbers."""

import itertools
import math
import statistics

import pytest
import torch

from grpo_kit.objective.advantages import EPSILON, Rewards, compute_advantages
from grpo_kit.objective.rewards import COMBINES, SHAPES


def flat(groups, counted=None):
    values = torch.tensor([r for g in groups for r in g], dtype=torch.float64)
    index = torch.tensor([i for i, g in enumerate(groups) for _ in g])
    mask = torch.ones(len(values), dtype=torch.bool) if counted is None else torch.tensor(counted)
    return Rewards(values, index, mask)


def test_marks_with_a_sign():
    rewards = flat([[0.3, 0.9], [0.0, -1.0]])
    right = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    assert SHAPES["signed"](rewards, right, 4).tolist() == [-1.0, 1.0, 1.0, -1.0]
    assert torch.equal(SHAPES["none"](rewards, right, 4), rewards.values)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("marks", [[1, 0, 0, 0, 0], [1, 1, 0, 0, 1], [0] * 5, [1] * 5])
def test_pass_at_k_counts_sets(marks, k):
    """Every set of k of the group is looked at: its reward is that of its best, and each member gets the mean of its sets."""
    right = torch.tensor(marks, dtype=torch.float64)
    found = SHAPES["pass_at_k"](flat([right.tolist()]), right, k)
    sets = list(itertools.combinations(range(5), k))
    wanted = [statistics.mean(max(marks[j] for j in s) for s in sets if i in s) for i in range(5)]
    assert found.tolist() == pytest.approx(wanted, rel=1e-12)
    assert found.mean().item() == pytest.approx(statistics.mean(max(marks[j] for j in s) for s in sets))


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("right", [0, 1, 3, 7, 8])
def test_the_advantages_of_pass_at_k_training(right, k):
    """The closed form of arXiv:2508.10751: (1 - rho) / sigma and (1 - rho - C(N - c - 1, k - 1) / C(N - 1, k - 1)) / sigma."""
    count = 8
    marks = torch.tensor([1.0] * right + [0.0] * (count - right), dtype=torch.float64)
    shaped = SHAPES["pass_at_k"](flat([marks.tolist()]), marks, k)
    rewards = Rewards(shaped, torch.zeros(count, dtype=torch.long), torch.ones(count, dtype=torch.bool))
    found = compute_advantages(rewards, baseline="group_mean", scale="bernoulli_std")
    wrong = count - right
    rho = 1 - math.comb(wrong, k) / math.comb(count, k)
    sigma = math.sqrt(rho * (1 - rho)) + 1e-6
    good = (1 - rho) / sigma
    bad = (1 - rho - (math.comb(wrong - 1, k - 1) / math.comb(count - 1, k - 1) if wrong else 0.0)) / sigma
    assert found.tolist() == pytest.approx([good] * right + [bad] * wrong, rel=1e-9, abs=1e-9)


def test_pass_at_k_of_groups_of_different_sizes_and_of_one_that_is_not_counted():
    right = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    rewards = flat([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], counted=[True, True, True, True, True, False])
    found = SHAPES["pass_at_k"](rewards, right, 2).tolist()
    assert found[:5] == pytest.approx([1.0, 0.5, 0.5, 1.0, 1.0])


def test_gdpo_standardises_each_verifier_in_its_group():
    scores = [[[1.0, 0.2], [0.0, 0.4], [1.0, 0.9]], [[0.0, 0.1], [0.0, 0.3], [1.0, 0.2]]]
    weights = [1.0, 0.5]
    expected = []
    for group in scores:
        columns = list(zip(*group, strict=True))
        for row in group:
            expected.append(
                sum(
                    w * (value - statistics.mean(c)) / (statistics.stdev(c) + EPSILON)
                    for w, value, c in zip(weights, row, columns, strict=True)
                )
            )
    table = torch.tensor([row for group in scores for row in group], dtype=torch.float64)
    rewards = flat([[0.0] * 3, [0.0] * 3])
    known = torch.ones_like(table, dtype=torch.bool)
    found = COMBINES["decoupled"](rewards, table, known, torch.tensor(weights, dtype=torch.float64).expand(6, 2))
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    assert torch.equal(COMBINES["sum"](rewards, table, known, torch.ones(6, 2)), rewards.values)


def test_gdpo_tells_apart_what_a_sum_makes_equal():
    """Two binary rewards, the second easier: (0, 1) and (1, 0) sum to the same and are not the same."""
    table = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    rewards, known = flat([table.sum(1).tolist()]), torch.ones_like(table, dtype=torch.bool)
    of_sum = compute_advantages(rewards, baseline="group_mean", scale="group_std").tolist()
    assert of_sum[0] == of_sum[1]
    found = COMBINES["decoupled"](rewards, table, known, torch.ones_like(table)).tolist()
    assert found[0] == pytest.approx(found[2])
    assert found[0] - found[1] > 0.2


def test_a_verifier_without_an_opinion_adds_nothing_and_spoils_nothing():
    table = torch.tensor([[1.0, 5.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    known = torch.tensor([[True, True], [True, True], [True, False]])
    rewards = flat([[0.0] * 3])
    found = COMBINES["decoupled"](rewards, table, known, torch.ones_like(table)).tolist()
    alone = [(v - 1 / 3) / (statistics.stdev([1, 0, 0]) + EPSILON) for v in (1, 0, 0)]
    pair = [(v - 3.5) / (statistics.stdev([5, 2]) + EPSILON) for v in (5, 2)]
    assert found == pytest.approx([alone[0] + pair[0], alone[1] + pair[1], alone[2]], rel=1e-12)
