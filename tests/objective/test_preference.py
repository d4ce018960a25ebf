"""Preference losses against formulas in plain Python."""

import math

import pytest
import torch

from grpo_kit.objective.preference import PAIR_LOSSES, bradley_terry, kto, kto_baseline

CHOSEN, REJECTED, LONG, SHORT = [1.2, -0.4, 0.0], [0.3, 0.9, 0.0], [4.0, 2.0, 3.0], [5.0, 1.0, 3.0]


def t(values):
    return torch.tensor(values, dtype=torch.float64)


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


@pytest.mark.parametrize("beta", [0.1, 2.0])
def test_pairs(beta):
    formulas = {
        "sigmoid": lambda c, r, n, m: -log_sigmoid(beta * (c - r)),
        "ipo": lambda c, r, n, m: (c / n - r / m - 1 / (2 * beta)) ** 2,
    }
    assert set(formulas) == set(PAIR_LOSSES)
    for name, formula in formulas.items():
        found = PAIR_LOSSES[name](t(CHOSEN), t(REJECTED), t(LONG), t(SHORT), beta)
        wanted = [formula(*row) for row in zip(CHOSEN, REJECTED, LONG, SHORT, strict=True)]
        assert found.tolist() == pytest.approx(wanted, rel=1e-12), name


def test_kto_pushes_good_responses_above_the_baseline_and_bad_ones_below():
    margins = t([0.5, -0.2]).requires_grad_()
    good = torch.tensor([True, False])
    losses = kto(margins, good, t(0.1), 0.5)
    wanted = [1 - 1 / (1 + math.exp(-0.5 * (0.5 - 0.1))), 1 - 1 / (1 + math.exp(-0.5 * (0.1 + 0.2)))]
    assert losses.tolist() == pytest.approx(wanted, rel=1e-12)
    losses.sum().backward()
    assert margins.grad[0] < 0 < margins.grad[1]


def test_the_kto_baseline_is_never_negative_and_takes_no_gradient():
    margins = t([-1.0, -3.0]).requires_grad_()
    assert kto_baseline(margins).item() == 0.0
    assert kto_baseline(t([1.0, 3.0])).item() == 2.0
    assert not kto_baseline(margins).requires_grad


def test_bradley_terry_with_a_margin():
    assert bradley_terry(t([2.0]), t([0.5])).item() == pytest.approx(-log_sigmoid(1.5))
    assert bradley_terry(t([2.0]), t([0.5]), t([1.0])).item() == pytest.approx(-log_sigmoid(0.5))
