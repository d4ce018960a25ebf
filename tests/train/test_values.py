"""The learner of action values on a real model: its loss and gradients against formulas, law 1, and its target network."""

import json
import math
from dataclasses import replace

import pytest
import torch

from grpo_kit.config import OptimizerConfig
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.objective.values import advantage_weights
from grpo_kit.observe.catalogue import metric_of
from grpo_kit.observe.measure import Measures
from grpo_kit.observe.rollout_file import rollout_lines, rollout_steps
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.train.learner import LearnerSettings
from grpo_kit.train.learners import open_learner
from grpo_kit.train.preflight import preflight
from grpo_kit.train.target import TargetNetwork
from grpo_kit.train.values import ValueLearner, ValueNetworks
from grpo_kit.types import Replayed
from tests.kit.episodes import episode_groups
from tests.kit.networks import far, gradient, moved
from tests.kit.runs import ODD, recipe, same_when_resumed
from tests.kit.tiny import make_policy

SCALE, DISCOUNT, TRACE = 0.3, 0.9, 0.8
ROW = {"value_temperature": SCALE, "discount": DISCOUNT, "trace": TRACE, "aggregation": "token_mean"}
ROW |= {"family": "values", "baseline": "none", "scale": "none"}
BOOTSTRAPS = ["sampled", "max", "double_max", "soft", "expectile"]


def networks(seed, dueling, token_budget=10**6):
    policy = make_policy(seed=0, dtype=torch.float64)
    moved(policy.model, seed)
    critic = ValueModel.from_policy(policy) if dueling else None
    if critic is not None:
        moved(critic.model, seed + 1)
    return ValueNetworks(policy, critic, SCALE, token_budget)


def learner_of(bootstrap, dueling=True, token_budget=10**6, **more):
    row = ROW | {"bootstrap": bootstrap, "action_values": "dueling" if dueling else "logits", "target_rate": 1.0} | more
    settings = LearnerSettings(OptimizerConfig(learning_rate=1e-3), 4, 1, 1, token_budget, 1.0, 32)
    learning, still = networks(1, dueling, token_budget), networks(3, dueling, token_budget)
    target = TargetNetwork(learning, still, 1.0, 1)
    objective = resolve_objective("grpo", row)
    return ValueLearner(learning, objective, settings, critic_config=OptimizerConfig(), target=target)


def ours(learner, groups):
    """Loss and gradients of one step, of the policy and of the critic, without taking it."""
    found = {}

    def instead(name, model):
        def step(batches, loss, into):
            model.zero_grad()
            parts = [loss(batch, into) for batch in batches]
            sum(parts).backward()
            found[name] = (
                float(sum(parts).detach()),
                torch.cat([p.grad.flatten() for p in model.parameters()]),
                len(parts),
            )

        return step

    learner.step = instead("policy", learner.networks.policy.model)
    if learner.networks.critic is not None:
        learner.critic_step = instead("critic", learner.networks.critic.model)
    learner.target.follow = lambda: None
    learner.learn(groups)
    return found


def action_values(found, prompt, completion):
    """V(s) [tokens] and log pi(a | s) [tokens, vocabulary] of one episode, by the models' own forward, turn after turn."""
    ids, at, before = list(prompt), [], dict(completion.inserted)
    for index, token in enumerate(completion.token_ids):
        ids += before.get(index, [])
        at.append(len(ids) - 1)
        ids.append(token)
    logits = found.policy.model(input_ids=torch.tensor([ids])).logits[0, at]
    logprobs = logits.log_softmax(-1)
    if found.critic is None:
        return SCALE * logits.logsumexp(-1), logprobs
    hidden = found.critic.model.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0, at]
    return found.critic.model.score(hidden)[:, 0], logprobs


def token_rewards(completion, score):
    """Half of each turn's reward at its last token; what the score lacks then, at the end."""
    rewards = [0.0] * len(completion.token_ids)
    ends = [*(turn.start for turn in completion.turns[1:]), len(rewards)]
    for turn, end in zip(completion.turns, ends, strict=True):
        rewards[end - 1] += 0.5 * turn.reward
    rewards[-1] += score.value - sum(rewards)
    return rewards


def formula(learner, groups, bootstrap, dueling):
    """The loss of all tokens as one differentiable number, and the critic's alone where it learns an expectile."""
    cases = []
    for group in groups:
        for completion, score in zip(group.completions, group.scores, strict=True):
            rewards = token_rewards(completion, score)
            now = action_values(learner.networks, group.prompt.token_ids, completion)
            with torch.no_grad():
                then = action_values(learner.target.still, group.prompt.token_ids, completion)
            cases.append((completion.token_ids, rewards, now, then))
    values, goals, states, own = [], [], [], []
    for ids, rewards, (state, logprobs), (their_state, their_logprobs) in cases:
        q = state[:, None] + SCALE * logprobs
        their_q = their_state[:, None] + SCALE * their_logprobs
        after, of_states = 0.0, 0.0
        row, mine_alone = [], []
        for t in reversed(range(len(ids))):
            goal = rewards[t] + DISCOUNT * after
            row.append(goal)
            mine_alone.append(1 - DISCOUNT * of_states)
            kept, extra = TRACE, 0.0
            if bootstrap == "sampled":
                value = float(their_q[t, ids[t]])
            elif bootstrap in ("max", "double_max"):
                liked = (their_q if bootstrap == "max" else q)[t].argmax()
                value = float(their_q[t, liked])
                kept = TRACE if ids[t] == liked else 0.0
            else:
                value = float(their_state[t])
                extra = -SCALE * float(their_logprobs[t, ids[t]]) if bootstrap == "soft" else 0.0
            after = (1 - kept) * value + kept * (extra + goal)
            of_states = 1 - kept + kept * DISCOUNT * of_states
        goals += reversed(row)
        own += reversed(mine_alone)
        values += [q[t, token] for t, token in enumerate(ids)]
        states += list(state)
    values, states = torch.stack(values), torch.stack(states)
    goals = torch.tensor(goals, dtype=torch.float64)
    errors = values - goals
    own = torch.tensor(own, dtype=torch.float64)
    level = -(own * errors.detach()).sum() / own.square().sum() if dueling else 0.0
    of_critic = 0.5 * errors.square().mean()
    if bootstrap == "expectile":
        off = states - goals
        of_critic = (torch.where(off > 0, 0.3, 0.7) * off.square()).mean()
    return 0.5 * (errors + level * own).square().mean(), of_critic


@pytest.mark.parametrize("token_budget", [10**6, 40])
@pytest.mark.parametrize(
    ("bootstrap", "dueling"), [*((name, True) for name in BOOTSTRAPS), ("max", False), ("soft", False)]
)
def test_the_loss_and_its_gradients_are_those_of_the_formula(bootstrap, dueling, token_budget):
    learner, groups = learner_of(bootstrap, dueling, token_budget), episode_groups((2, 2))
    of_policy, of_critic = formula(learner, groups, bootstrap, dueling)
    wanted = gradient(of_policy, learner.networks.policy.model)
    if dueling:
        wanted_of_critic = gradient(of_critic, learner.networks.critic.model)
    found = ours(learner, groups)
    assert found["policy"][2] == (1 if token_budget > 40 else 4)
    assert found["policy"][0] == pytest.approx(float(of_policy), rel=1e-6)
    assert far(found["policy"][1], wanted) < 1e-5  # norms of the network go through float32
    if dueling:
        assert found["critic"][0] == pytest.approx(float(of_critic), rel=1e-6)
        assert far(found["critic"][1], wanted_of_critic) < 1e-5


@pytest.mark.parametrize("token_budget", [10**6, 40])
def test_a_policy_that_imitates_weighs_tokens_by_their_advantage(token_budget):
    learner, groups = learner_of("expectile", True, token_budget, action_values="returns"), episode_groups((2, 2))
    losses, off = [], []
    for group in groups:
        for completion, score in zip(group.completions, group.scores, strict=True):
            rewards = token_rewards(completion, score)
            states, logprobs = action_values(learner.networks, group.prompt.token_ids, completion)
            with torch.no_grad():
                then, _ = action_values(learner.target.still, group.prompt.token_ids, completion)
            after = 0.0
            for t in reversed(range(len(rewards))):
                goal = rewards[t] + DISCOUNT * after
                after = (1 - TRACE) * float(then[t]) + TRACE * goal
                weight = min(math.exp((goal - float(states[t])) / SCALE), 100.0)
                losses.append(-weight * logprobs[t, completion.token_ids[t]])
                off.append(states[t] - goal)
    off = torch.stack(off)
    of_critic = (torch.where(off > 0, 0.3, 0.7) * off.square()).mean()
    of_policy = torch.stack(losses).mean()
    wanted = gradient(of_policy, learner.networks.policy.model)
    wanted_of_critic = gradient(of_critic, learner.networks.critic.model)
    found = ours(learner, groups)
    assert found["policy"][0] == pytest.approx(float(of_policy), rel=1e-6)
    assert far(found["policy"][1], wanted) < 1e-5
    assert found["critic"][0] == pytest.approx(float(of_critic), rel=1e-6)
    assert far(found["critic"][1], wanted_of_critic) < 1e-5


def test_one_surprising_token_weighs_no_more_than_the_bound():
    weights = advantage_weights(torch.tensor([-1.0, 0.0, 0.2, 5.0], dtype=torch.float64), 0.1)
    torch.testing.assert_close(weights, torch.tensor([math.exp(-10), 1.0, math.exp(2), 100.0], dtype=torch.float64))


def test_huber_bounds_what_one_token_weighs():
    small, large = (ours(learner_of("sampled", huber=h), episode_groups((2, 2)))["policy"][1] for h in (1e-3, None))
    assert small.norm() < 0.1 * large.norm()


@pytest.mark.parametrize(("rate", "every"), [(1.0, 2), (0.25, 1)])
def test_the_target_network_follows(rate, every):
    learner = learner_of("max")
    target = TargetNetwork(learner.networks, learner.target.still, rate, every)
    learner.target = target
    pairs = [
        (target.still.policy.model, learner.networks.policy.model),
        (target.still.critic.model, learner.networks.critic.model),
    ]
    wanted = [[p.detach().clone() for p in still.parameters()] for still, _ in pairs]
    for step in (1, 2, 3):
        learner.learn(episode_groups((2, 2)))
        for (still, learning), before in zip(pairs, wanted, strict=True):
            if step % every == 0:
                for w, p in zip(before, learning.parameters(), strict=True):
                    w.lerp_(p.detach(), rate)
            assert all(torch.allclose(w, p, atol=1e-12) for w, p in zip(before, still.parameters(), strict=True))


def test_the_state_holds_the_target_network():
    config = _config()
    first, second = (open_learner(config, resolve_objective("grpo", config.objective), make_policy()) for _ in range(2))
    first.learn(episode_groups((2, 2)))
    second.load_state_dict(first.state_dict())
    stills = [learner.target.still.policy.model.parameters() for learner in (first, second)]
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*stills, strict=True))
    assert second.target.age == first.target.age


DQN = "objective={family: values, bootstrap: double_max, target_rate: 0.2, huber: 0.5, value_temperature: 0.1, beta: 0}"


def _config(*more):
    return recipe("grpo", DQN, ODD, "scoring.max_rejected_gold=1.0", "critic.warmup=0", *more)


def test_a_run_goes_on_exactly(tmp_path):
    config = _config("train.steps=2", "train.save_every=1", "rollout.max_tokens=8", "rollout.epsilon=0.1")
    same_when_resumed(config, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "straight" / "metrics.jsonl").read_text().splitlines()]
    assert {name for line in lines for name in line if metric_of(name) is None} == set()
    rows = next(rollout_lines(rollout_steps(tmp_path / "straight")[1]))
    assert len(rows["values"]) == len(rows["token_ids"])  # what the page colours


def test_older_groups_are_learned_from_again_and_weigh_what_the_buffer_says(tmp_path):
    whole, half = (ours(learner_of("max"), groups)["policy"] for groups in (episode_groups((2, 2)), _replayed(0.5)))
    assert half[0] == pytest.approx(0.5 * whole[0])
    config = _config("train.steps=3", "train.save_every=1", "rollout.max_tokens=8", "replay={steps: 2, share: 0.5}")
    preflight(config, None)
    same_when_resumed(config, tmp_path, stop_after=2)
    lines = [json.loads(line) for line in (tmp_path / "straight" / "metrics.jsonl").read_text().splitlines()]
    assert [line["replay/groups"] for line in lines if "loss" in line] == [0.0, 4.0, 4.0]


def _replayed(weight):
    return [replace(group, replayed=Replayed(1, 0, weight)) for group in episode_groups((2, 2))]


def test_what_is_promised_and_what_came_of_it_are_measured():
    learned = learner_of("sampled").learn(groups := episode_groups((2, 2)))
    metrics = learned.metrics
    # What the first token is worth, against the discounted rewards that followed.
    assert metrics["values/overestimation"] != 0.0
    assert {"values/td_error", "values/mean", "values/promised", "values/realised", "entropy"} <= metrics.keys()
    assert [[len(v) for v in row] for row in learned.values] == [
        [len(c.token_ids) for c in g.completions] for g in groups
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("objective.target_rate=null", "asks a second network for the value"),
        ("objective.beta=0.1", "objective.beta is of policy gradients"),
        ("objective.action_values=returns", "those are a policy's here, which imitates; use bootstrap expectile"),
        ("objective.step=natural_gradient", "family values needs gradient"),
    ],
)
def test_what_cannot_be_used_is_refused(override, message):
    with pytest.raises(UserError, match=message):
        preflight(_config(override), None)


def test_an_average_of_adapters_is_refused():
    pytest.importorskip("peft")
    with pytest.raises(UserError, match="target_rate"):
        preflight(_config("model.lora={rank: 2}"), None)
    preflight(_config("model.lora={rank: 2}", "objective.target_rate=1.0", "objective.target_every=2"), None)


def test_an_empty_batch_changes_nothing():
    metrics = Measures()
    learner = learner_of("sampled")
    learner.set_goals([])
    learner.take_steps([], metrics)
    assert "grad_norm" not in metrics


def test_exploring_by_epsilon_is_for_values_and_for_the_engine_that_can():
    preflight(_config("rollout.epsilon=0.1"), None)
    with pytest.raises(UserError, match=r"rollout\.epsilon"):
        preflight(recipe("grpo", ODD, "scoring.max_rejected_gold=1.0", "rollout.epsilon=0.1"), None)
    with pytest.raises(UserError, match="which vLLM does not sample from"):
        _config("rollout.epsilon=0.1", "rollout.engine=vllm")
