"""Tables learned with the formulas of objective.values become the exact values of small token Markov decision processes.

The tables are learned as a network would be: by gradient steps on the loss, from sampled episodes, through Q = temperature *
logits or through a critic and log-probabilities.
"""

import pytest
import torch

from grpo_kit.objective.values import (
    BOOTSTRAPS,
    StateValues,
    error_loss,
    expectile_weights,
    policy_state_values,
    retraced,
    stepped_returns,
    temperature_loss,
    traced_returns,
)
from tests.kit.token_mdp import brackets, cliff, lottery

TEMPERATURE = 0.2


def soft_state_values(action_values, temperature):
    """V(s) = temperature * logsumexp_a(Q(s, a) / temperature)."""
    return temperature * (action_values / temperature).logsumexp(-1)


class Table:
    """Action values of every state, as logits or as a critic and logits."""

    def __init__(self, mdp, dueling=False):
        self.logits = torch.zeros_like(mdp.rewards).requires_grad_()
        self.critic = torch.zeros(mdp.states, dtype=torch.float64).requires_grad_() if dueling else None

    @property
    def parameters(self):
        return [self.logits] if self.critic is None else [self.logits, self.critic]

    def values(self):
        """Q: [states, actions]"""
        if self.critic is None:
            return TEMPERATURE * self.logits
        return self.critic[:, None] + TEMPERATURE * self.logits.log_softmax(-1)


def explore(values, epsilon):
    """Softmax of the values, mixed with the uniform distribution."""
    policy = (values / TEMPERATURE).softmax(-1)
    return (1 - epsilon) * policy + epsilon / policy.shape[-1]


def seen(values, states, actions, other=None):
    """What a network says of the states of episodes. other: the values of the network that chooses."""
    rows = values[states]
    taken = rows.gather(-1, actions[..., None])[..., 0]
    liked = (rows if other is None else other[states]).argmax(-1, keepdim=True)
    soft = soft_state_values(rows, TEMPERATURE)
    return StateValues(soft, taken, rows.amax(-1), rows.gather(-1, liked)[..., 0], soft - taken)


def targets(mdp, found, rewards, trace, steps):
    if steps is None:
        return traced_returns(rewards, *found, mdp.discount, trace)
    return stepped_returns(rewards, found[0], found[2], mdp.discount, steps)


def learn(
    mdp, bootstrap, policy=None, *, dueling=False, trace=0.0, steps=None, target_every=None, rounds=50, rate=1.0, decay=0.0,
    episodes=512, seed=0, pair=False,
):  # fmt: skip
    """Action values after ``rounds`` batches of episodes.

    Args:
        policy: that samples, from any state on; default: the table's own with epsilon 0.2, from the first state on.
        target_every: batches between two copies of the table into the one that is bootstrapped from.
        pair: two tables that learn from batches of their own, each bootstrapped from the other.
        rate, decay: an entry moves by rate / (1 + decay * round) of the mean of its errors.
    """
    generator = torch.Generator().manual_seed(seed)
    tables = [Table(mdp, dueling) for _ in range(1 + pair)]
    still = tables[0].values().detach()
    for number in range(rounds):
        for index, table in enumerate(tables):
            now = table.values()
            values = now.detach()
            if pair:
                still = tables[1 - index].values().detach()
            elif target_every is None or number % target_every == 0:
                still = values
            sampler = explore(values, 0.2) if policy is None else policy
            states, actions, rewards, exist = mdp.sample(sampler, episodes, generator, anywhere=policy is not None)
            live = exist.to(torch.float64)
            # Behind the end there is nothing.
            found = [part * live for part in BOOTSTRAPS[bootstrap](seen(still, states, actions, values))]
            errors = now[states, actions] - targets(mdp, found, rewards, trace, steps)
            gradients = torch.autograd.grad((error_loss(errors, None) * live).sum(), table.parameters)
            met = torch.zeros_like(mdp.rewards).index_put((states, actions), live, accumulate=True)
            with torch.no_grad():
                for parameter, gradient in zip(table.parameters, gradients, strict=True):
                    counted = met.sum(-1) if parameter.ndim == 1 else met * TEMPERATURE**2
                    parameter -= rate / (1.0 + decay * number) * gradient / counted.clamp(min=TEMPERATURE**2)
    return tables[0].values().detach()


@pytest.fixture(scope="module")
def sentences():
    mdp = brackets()
    assert mdp.states == 364
    return mdp


@pytest.fixture(scope="module")
def uniform(sentences):
    return torch.full_like(sentences.rewards, 0.25)


@pytest.mark.parametrize("how", [{}, {"trace": 0.9}], ids=str)
def test_sarsa_learns_the_values_of_the_policy_that_samples(how, sentences, uniform):
    truth = sentences.solve(lambda q: (q * uniform).sum(-1))
    found = learn(sentences, "sampled", uniform, rounds=100, decay=0.3, episodes=1024, **how)
    assert (found - truth).abs().mean() < 0.01  # what is left is chance: the next token is drawn
    assert (found - truth).abs().max() < 0.25


TARGET = {"target_every": 5, "rounds": 60}
DUELING = {"dueling": True, "rate": 0.3, "rounds": 250}
EXACT = [("max", {}), ("max", {"trace": 0.9}), ("max", DUELING), ("double_max", TARGET)]


@pytest.mark.parametrize(("bootstrap", "how"), EXACT, ids=str)
def test_q_learning_learns_the_optimum_whoever_samples(bootstrap, how, sentences, uniform):
    truth = sentences.solve(lambda q: q.amax(-1))
    found = learn(sentences, bootstrap, uniform, **how)
    assert (found - truth).abs().max() < 5e-3


@pytest.mark.parametrize("how", [{"trace": 0.9}, {"steps": 3}, DUELING], ids=str)
def test_soft_q_learning_learns_the_soft_optimum_along_any_path(how, sentences, uniform):
    truth = sentences.solve(lambda q: soft_state_values(q, TEMPERATURE))
    found = learn(sentences, "soft", uniform, **how)
    assert (found - truth).abs().max() < 5e-3
    assert (truth - sentences.solve(lambda q: q.amax(-1))).max() > 0.1  # another optimum than the hard one


@pytest.mark.parametrize("trace", [0.0, 0.9], ids="trace {}".format)
def test_sac_learns_the_soft_optimum_and_its_policy(trace, sentences, uniform):
    """Twin values from their own batches, the smaller of them bootstrapped from; the policy follows by its own gradient.

    Another policy samples throughout, the uniform one, and returns go on through what it sampled as Retrace has them.
    """
    generator = torch.Generator().manual_seed(0)
    twins = [torch.zeros_like(sentences.rewards) for _ in range(2)]
    logits = torch.zeros_like(sentences.rewards).requires_grad_()
    for _ in range(60):
        for twin in twins:
            states, actions, rewards, exist = sentences.sample(uniform, 512, generator, anywhere=True)
            smaller = torch.minimum(*twins)
            for _ in range(5):
                worth = policy_state_values(smaller, logits.log_softmax(-1), TEMPERATURE)
                (gradient,) = torch.autograd.grad(-worth.sum(), logits)
                with torch.no_grad():
                    logits -= 8.0 * gradient
            ratios = (logits.detach().log_softmax(-1) - uniform.log())[states, actions]
            seen = retraced(worth.detach()[states], smaller[states, actions], ratios)
            goals = traced_returns(rewards, *(part * exist for part in seen), sentences.discount, trace)
            met = torch.zeros_like(twin).index_put((states, actions), exist.to(twin.dtype), accumulate=True)
            summed = torch.zeros_like(twin).index_put((states, actions), goals * exist, accumulate=True)
            twin.copy_(torch.where(met > 0, summed / met.clamp(min=1), twin))
    truth = sentences.solve(lambda q: soft_state_values(q, TEMPERATURE))
    assert (torch.minimum(*twins) - truth).abs().max() < 0.02
    policy = logits.detach().softmax(-1)
    assert (policy - (truth / TEMPERATURE).softmax(-1)).abs().max() < 0.02


@pytest.mark.parametrize("trace", [0.5, 1.0])
def test_a_return_expects_the_value_of_the_policy_that_learns_whoever_sampled(trace, sentences, uniform):
    """Retrace at its fixed point, where rewards are certain: every return is the value of its token, whoever sampled on."""
    policy = torch.rand(uniform.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).softmax(-1)
    policy = (4 * policy.log()).softmax(-1)
    truth = sentences.solve(lambda q: policy_state_values(q, policy.log(), TEMPERATURE))
    states, actions, rewards, exist = sentences.sample(uniform, 4096, torch.Generator().manual_seed(0), anywhere=True)
    worth = policy_state_values(truth, policy.log(), TEMPERATURE)[states]
    found = retraced(worth, truth[states, actions], (policy / uniform).log()[states, actions])
    assert (found.follows[exist] <= 1).all()
    assert (found.follows[exist] < 0.9).any()
    off = traced_returns(rewards, *(part * exist for part in found), sentences.discount, trace) - truth[states, actions]
    assert off[exist].abs().max() < 1e-9


def test_the_temperature_of_sac_finds_the_entropy_that_is_asked_for():
    values = torch.tensor([[1.0, 0.4, 0.1, 0.0]], dtype=torch.float64)
    log_temperature, target = 0.0, 0.7
    for _ in range(500):
        logprobs = (values / torch.tensor(log_temperature).exp()).log_softmax(-1)
        entropies = -(logprobs.exp() * logprobs).sum(-1)
        probe = torch.tensor(log_temperature, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(temperature_loss(float(entropies), probe, target), probe)
        log_temperature -= 0.2 * float(gradient)
    assert float(entropies) == pytest.approx(target, abs=1e-3)
    assert log_temperature < 0.0


def test_an_upper_expectile_lies_between_the_values_of_the_data_and_the_best_of_them(sentences, uniform):
    """States alone are learned, from what the data hold; at one half they are the values of who sampled, near 1 the best."""

    def states(share):
        values = torch.zeros(sentences.states, dtype=torch.float64)
        for _ in range(400):
            targets = sentences.backup(values)  # every token was sampled equally often
            errors = values[:, None] - targets
            values = values - 0.5 * (expectile_weights(errors, share) * errors).mean(-1)
        return values

    mean = sentences.solve(lambda q: q.mean(-1)).mean(-1)
    best = sentences.solve(lambda q: q.amax(-1)).amax(-1)
    assert (states(0.5) - mean).abs().max() < 1e-6
    assert (states(0.7) > mean - 1e-9).all()
    assert (states(0.99) - best).abs().max() < 0.15
    assert (states(0.7) <= best).all()
    assert states(0.99)[0] > states(0.7)[0] > states(0.5)[0]


def first_value(bootstrap, **how):
    """The value of buying a ticket: -0.1 in truth. The mean of five runs."""
    mdp = lottery(8)
    policy = torch.full_like(mdp.rewards, 1 / 8)
    runs = [
        learn(mdp, bootstrap, policy, rounds=60, rate=0.5, decay=0.02, episodes=32, seed=seed, **how)[0, 0]
        for seed in range(5)
    ]
    return float(sum(runs) / len(runs))


def test_the_maximum_of_noisy_values_promises_too_much_and_a_second_network_does_not():
    single = first_value("max")
    assert single > 0.2  # eight tickets that cost 0.1 each
    assert first_value("max", target_every=3) > 0.2  # a target network alone does not help
    assert first_value("double_max", target_every=3) < single - 0.05  # double DQN: its two networks share what they met
    assert first_value("double_max", pair=True) == pytest.approx(-0.1, abs=0.1)  # double Q-learning: nothing is shared


def test_on_the_cliff_sarsa_keeps_away_from_the_edge_and_q_learning_does_not():
    """Both explore with the same softmax and epsilon: SARSA's values know that it stumbles, Q-learning's do not."""
    mdp = cliff()
    sarsa, q = (learn(mdp, name, rounds=200, rate=0.5, decay=0.02, episodes=64) for name in ("sampled", "max"))
    edge = range(0, mdp.states - 2, 2)
    assert [int(sarsa[state].argmax()) for state in edge][:3] == [1, 1, 1]  # up, away from it
    assert [int(q[state].argmax()) for state in edge] == [0] * len(edge)  # on, along it
    assert (q - mdp.solve(lambda values: values.amax(-1))).abs().max() < 1e-3
    generator = torch.Generator().manual_seed(1)
    paid = [mdp.sample(explore(table, 0.2), 4000, generator)[2].sum(-1).mean() for table in (sarsa, q)]
    assert paid[0] > paid[1] + 0.02  # while exploring, the careful one earns more
