"""Action values of the token Markov decision process: what is bootstrapped from, returns, and losses. Pure functions.

A state is the prompt and the tokens so far, an action the next token; the next state is certain, and an episode ends with the
response. Action values Q(s, a) are ``temperature * logits`` up to a number of the state, so that sampling from softmax(logits) is
Boltzmann exploration at that temperature and every engine does it unchanged:

    Q(s, a) = V(s) + temperature * log pi(a | s),    V(s) = temperature * logsumexp_a(Q(s, a) / temperature)

V is the soft value of the state. A critic learns it (the dueling form, arXiv:1511.06581, with the log-probabilities as
advantages, as in path consistency learning, arXiv:1702.08892), or the logits themselves hold it.

Of an actor and twins (soft actor-critic, arXiv:1801.01290; of discrete actions, arXiv:1910.07207) the policy is a network of its
own, which follows the smaller of two networks of action values, and the temperature follows the policy's entropy.

Where a policy imitates by advantage (implicit Q-learning, arXiv:2110.06169) its logits are no values: since the next state is
certain, Q(s, a) = r + discount * V(s') needs no network beside the critic's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from .rows import declare_axis
from .shapes import Actions, Scalar, Tokens

LARGEST_WEIGHT = 100.0  # of a token that is imitated


@dataclass(frozen=True, slots=True)
class StateValues:
    """What the network that is bootstrapped from says of the states before each token of a response.

    Attributes:
        soft: V(s), soft at ``temperature``; of a critic that learns an expectile, that.
        taken: Q(s, a) of the token that was sampled.
        best: max_a Q(s, a).
        chosen: Q(s, a) of the token that the network that learns likes best; the same as ``best`` where they are one network.
        entropies: -temperature * log pi(a | s) of the sampled token: what soft values pay for it.
    """

    soft: Tokens
    taken: Tokens
    best: Tokens
    chosen: Tokens
    entropies: Tokens


class Bootstrapped(NamedTuple):
    """How a return sees the states of a response.

    Attributes:
        values: what each is worth.
        follows: 1 where a return may go on through the sampled token instead, 0 where it must end in ``values``.
        bonus: what a return that goes on through the token gets for it beside its reward.
    """

    values: Tokens
    follows: Tokens
    bonus: Tokens


def sampled(states: StateValues) -> Bootstrapped:
    """The value of the token that was sampled next (SARSA, Rummery and Niranjan 1994): that of the policy that samples."""
    return Bootstrapped(states.taken, torch.ones_like(states.taken), torch.zeros_like(states.taken))


def maximum(states: StateValues) -> Bootstrapped:
    """The value of the best token (Q-learning, Watkins 1989; DQN, arXiv:1312.5602, eq. 2), whoever samples.

    A return goes on only through tokens that are the best ones (Watkins's Q(lambda)): any other is not of the policy whose value
    is learned.
    """
    return Bootstrapped(states.best, (states.taken >= states.best).to(states.best.dtype), torch.zeros_like(states.best))


def double_maximum(states: StateValues) -> Bootstrapped:
    """The token that one network likes best, valued by the other (double DQN, arXiv:1509.06461, eq. 4).

    Whoever takes the maximum of noisy values picks the luckiest noise; the other network's noise is another. A return goes on
    through that token alone.
    """
    follows = (states.taken == states.chosen).to(states.best.dtype)
    return Bootstrapped(states.chosen, follows, torch.zeros_like(states.best))


def soft(states: StateValues) -> Bootstrapped:
    """temperature * logsumexp(Q / temperature) (soft Q-learning, arXiv:1702.08165; of text, arXiv:2106.07704).

    Along any tokens, whoever sampled them, values, rewards and log-probabilities of the optimum agree (path consistency,
    arXiv:1702.08892), so a return may go on through all of them.
    """
    return Bootstrapped(states.soft, torch.ones_like(states.soft), states.entropies)


def expectile(states: StateValues) -> Bootstrapped:
    """The critic's value, an upper expectile over the tokens that the data hold (ILQL, arXiv:2206.11871)."""
    return Bootstrapped(states.soft, torch.ones_like(states.soft), torch.zeros_like(states.soft))


def policy_state_values(action_values: Actions, logprobs: Actions, temperature: float) -> Tokens:
    """V(s) = E_pi[Q(s, a) - temperature * log pi(a | s)], over all actions (discrete SAC, arXiv:1910.07207, eq. 10).

    Its gradient by the policy is what an actor climbs (eq. 12): that of -temperature * KL(pi || softmax(Q / temperature)).
    """
    return (logprobs.exp() * (action_values - temperature * logprobs)).sum(-1)


def retraced(values: Tokens, action_values: Tokens, log_ratios: Tokens) -> Bootstrapped:
    """What a policy of its own is worth, along tokens that another may have sampled (Retrace, arXiv:1606.02647, section 3.2).

    A return goes on through a token by min(1, pi / mu), and is told how much that token is worth beyond its state: whatever the
    share, it then expects V(s).

    Args:
        values: of `policy_state_values`. action_values: of the sampled tokens.
        log_ratios: log pi - log mu of them, mu being who sampled.
    """
    return Bootstrapped(values, log_ratios.exp().clamp(max=1.0), values - action_values)


def temperature_loss(entropy: float, log_temperature: Scalar, target: float) -> Scalar:
    """Its gradient raises the logarithm of the temperature where the entropy is below ``target`` (arXiv:1910.07207, eq. 11).

    Args:
        entropy, target: nats per token.
    """
    return log_temperature * (entropy - target)


def advantage_weights(advantages: Tokens, temperature: float) -> Tokens:
    """exp(advantage / temperature), by which a token's imitation is weighed (implicit Q-learning, arXiv:2110.06169, eq. 7).

    What it leads to is the policy that sampled, times these weights: the best one within a distance of it. Bounded as in the
    authors' code, or one token's surprise would be the gradient.
    """
    return (advantages / temperature).exp().clamp(max=LARGEST_WEIGHT)


Bootstrap = Callable[[StateValues], Bootstrapped]
BOOTSTRAPS: dict[str, Bootstrap] = {
    "sampled": sampled,
    "max": maximum,
    "double_max": double_maximum,
    "soft": soft,
    "expectile": expectile,
}
declare_axis("bootstrap", BOOTSTRAPS)


def traced_returns(
    rewards: Tokens, values: Tokens, follows: Tokens, bonus: Tokens, discount: float, trace: float
) -> Tokens:
    """What Q(s_t, a_t) is to become: rewards up to a state, and its value, mixed over all states that come after.

        G_t = r_t + discount * W_{t+1},    W_t = (1 - c_t) values_t + c_t (bonus_t + G_t),    c_t = trace * follows_t

    W after the last token is 0.

    Args:
        values, follows, bonus: of `Bootstrapped`.
        trace: lambda; 0 looks one token ahead, 1 to the end or to where it may not follow.
    """
    result = torch.empty_like(rewards)
    after = torch.zeros_like(rewards[..., 0])
    for t in range(rewards.shape[-1] - 1, -1, -1):
        result[..., t] = rewards[..., t] + discount * after
        kept = trace * follows[..., t]
        after = (1.0 - kept) * values[..., t] + kept * (bonus[..., t] + result[..., t])
    return result


def stepped_returns(rewards: Tokens, values: Tokens, bonus: Tokens, discount: float, steps: int) -> Tokens:
    """Rewards of ``steps`` tokens, then the value of the state behind them; nothing behind the end.

    Nothing is corrected for who sampled the tokens between (as in Rainbow, arXiv:1710.02298).
    """
    length = rewards.shape[-1]
    earned = rewards + bonus  # of a token that is not the first of its return
    result = rewards.clone()
    for k in range(1, steps):
        result[..., : max(0, length - k)] += discount**k * earned[..., k:]
    result[..., : max(0, length - steps)] += discount**steps * values[..., steps:]
    return result


def error_loss(errors: Tokens, huber: float | None) -> Tokens:
    """Half the square of a temporal-difference error; beyond ``huber`` linear, so that no error weighs more than that.

    (The clipped error of DQN, Nature 518, 2015.)
    """
    if huber is None:
        return 0.5 * errors.square()
    size = errors.abs()
    return torch.where(size <= huber, 0.5 * errors.square(), huber * (size - 0.5 * huber))


def expectile_weights(errors: Tokens, expectile: float) -> Tokens:
    """2 |expectile - 1(target < value)|: with it, half the squared error has the expectile as its minimum.

    (Implicit Q-learning, arXiv:2110.06169, eq. 5; at 0.5 all weigh the same.)

    Args:
        errors: value minus target.
    """
    return 2.0 * torch.where(errors > 0, 1.0 - expectile, expectile)
