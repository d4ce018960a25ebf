"""Rewards-to-go, generalised advantages and the value loss against small cases worked by hand."""

import pytest
import torch

from grpo_kit.objective.returns import generalised_advantages, reward_to_go, token_rewards, value_loss, whiten


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_reward_stands_at_the_last_token_and_the_kl_at_each():
    assert token_rewards(1.0, 3).tolist() == [0.0, 0.0, 1.0]
    assert token_rewards(1.0, 3, doubles(0.1, 0.2, -0.3), 0.5).tolist() == pytest.approx([-0.05, -0.1, 1.15])


def test_reward_to_go_by_hand():
    # 1 + 0.5 * (2 + 0.5 * 4) = 3;  2 + 0.5 * 4 = 4;  4
    assert reward_to_go(doubles(1.0, 2.0, 4.0), 0.5).tolist() == [3.0, 4.0, 4.0]
    assert reward_to_go(doubles(0.0, 0.0, 1.0), 1.0).tolist() == [1.0, 1.0, 1.0]


def test_generalised_advantages_by_hand():
    """rewards 0, 0, 1; values 0.5, 0.6, 0.8; discount 0.9, lambda 0.5."""
    # errors: 0 + 0.9*0.6 - 0.5 = 0.04;  0 + 0.9*0.8 - 0.6 = 0.12;  1 - 0.8 = 0.2
    # A2 = 0.2;  A1 = 0.12 + 0.45*0.2 = 0.21;  A0 = 0.04 + 0.45*0.21 = 0.1345
    advantages, returns = generalised_advantages(doubles(0, 0, 1), doubles(0.5, 0.6, 0.8), 0.9, 0.5)
    assert advantages.tolist() == pytest.approx([0.1345, 0.21, 0.2])
    assert returns.tolist() == pytest.approx([0.6345, 0.81, 1.0])


def test_the_two_ends_of_lambda():
    rewards, values = doubles(0.3, -0.2, 1.0), doubles(0.1, 0.4, -0.5)
    full, _ = generalised_advantages(rewards, values, 0.9, 1.0)
    torch.testing.assert_close(full, reward_to_go(rewards, 0.9) - values)
    single, _ = generalised_advantages(rewards, values, 0.9, 0.0)
    torch.testing.assert_close(single, doubles(0.3 + 0.9 * 0.4 - 0.1, -0.2 - 0.9 * 0.5 - 0.4, 1.0 + 0.5))


def test_a_critic_that_knows_everything_leaves_no_advantage():
    rewards = doubles(0.0, 0.0, 1.0)
    advantages, _ = generalised_advantages(rewards, reward_to_go(rewards, 1.0), 1.0, 0.95)
    assert advantages.abs().max() == 0.0


def test_value_loss_by_hand():
    values, old, returns = doubles(1.0, 0.0, 0.5), doubles(0.5, 0.0, 0.0), doubles(2.0, 1.0, 0.0)
    assert value_loss(values, old, returns, None).tolist() == [0.5, 0.5, 0.125]
    # clipped to 0.7, 0.0, 0.2: errors 1.69, 1, 0.04 against 1, 1, 0.25; the larger of each, halved
    assert value_loss(values, old, returns, 0.2).tolist() == pytest.approx([0.845, 0.5, 0.125])


def test_whiten():
    values = whiten(doubles(1.0, 2.0, 3.0, 6.0))
    assert values.mean().item() == pytest.approx(0.0, abs=1e-12)
    assert values.std().item() == pytest.approx(1.0, rel=1e-5)
    assert whiten(doubles(4.0)).tolist() == [0.0]


def test_what_a_turn_was_paid_stands_at_its_last_token():
    rewards = token_rewards(2.0, 5, turns=[(1, 0.25), (4, 0.5)])
    assert rewards.tolist() == [0.0, 0.25, 0.0, 0.0, 1.75]
    assert reward_to_go(rewards, 1.0).tolist() == [2.0, 2.0, 1.75, 1.75, 1.75]
    assert token_rewards(2.0, 5, doubles(1, 1, 1, 1, 1), 0.1, [(1, 0.25)]).sum().item() == pytest.approx(1.5)
