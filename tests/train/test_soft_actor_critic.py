"""Soft actor-critic on a real model: its goals, losses and gradients against formulas in float64, and its exact resume."""

import json
import math
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch

from grpo_kit.config import OptimizerConfig
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.catalogue import metric_of
from grpo_kit.observe.measure import Measures
from grpo_kit.policy import twins as chunks
from grpo_kit.policy.twins import Twins, policy_values
from grpo_kit.train import preflight as checks
from grpo_kit.train.learner import LearnerSettings
from grpo_kit.train.preflight import preflight
from grpo_kit.train.soft_actor_critic import SoftActorCritic, Temperature
from grpo_kit.train.target import TargetNetwork
from grpo_kit.types import Replayed
from tests.kit.episodes import episode_groups
from tests.kit.networks import far, gradient, moved
from tests.kit.runs import ODD, recipe, same_when_resumed
from tests.kit.tiny import make_policy

SCALE, DISCOUNT, TRACE = 0.3, 0.9, 0.8
ROW = {
    "value_temperature": SCALE,
    "discount": DISCOUNT,
    "trace": TRACE,
    "entropy_target": 1.0,
    "action_values": "twins",
}


def learner_of(token_budget=10**6, **more):
    settings = LearnerSettings(OptimizerConfig(learning_rate=1e-3), 4, 1, 1, token_budget, 1.0, 32)
    policy = make_policy(seed=0, dtype=torch.float64)
    learning, still = (Twins.from_policy(policy, SCALE, seed) for seed in (1, 2))
    for seed, network in enumerate((policy, *learning, *still)):
        moved(network.model, seed)
    objective = resolve_objective("soft_q", ROW | more)
    target = TargetNetwork(learning, still, 0.25, 1)
    return SoftActorCritic(policy, learning, objective, settings, critic_config=OptimizerConfig(), target=target)


def responses_of(learner, groups):
    """Those of the one step, with their goals."""
    found = []
    learner.take_steps = lambda responses, metrics: found.extend(responses)
    learner.learn(groups)
    del learner.take_steps
    return found


def action_values(twin, ids, at, pi):
    """V [tokens, 1] and what is added to it [tokens, vocabulary] of one episode, by the network's own forward."""
    hidden = twin.network.model.get_decoder()(input_ids=torch.tensor([ids])).last_hidden_state[0, at]
    logits = twin.network.model.lm_head(hidden)
    logprobs = logits.log_softmax(-1)
    return twin.model.score(hidden.detach()), SCALE * (logprobs - (pi * logprobs).sum(-1, keepdim=True))


def cases(learner, groups):
    """Of each response: its tokens, rewards, log mu, log pi and both Q over the vocabulary, of now and of the targets."""
    for group in groups:
        for completion, score in zip(group.completions, group.scores, strict=True):
            ids, at, before = list(group.prompt.token_ids), [], dict(completion.inserted)
            rewards = [0.0] * len(completion.token_ids)
            ends = [*(turn.start for turn in completion.turns[1:]), len(rewards)]
            for turn, end in zip(completion.turns, ends, strict=True):
                rewards[end - 1] += 0.5 * turn.reward
            rewards[-1] += score.value - sum(rewards)
            for index, token in enumerate(completion.token_ids):
                ids += before.get(index, [])
                at.append(len(ids) - 1)
                ids.append(token)
            logprobs = learner.policy.model(input_ids=torch.tensor([ids])).logits[0, at].log_softmax(-1)
            pi = logprobs.detach().exp()
            mine = [action_values(twin, ids, at, pi) for twin in learner.twins]
            with torch.no_grad():
                theirs = torch.minimum(*(sum(action_values(twin, ids, at, pi)) for twin in learner.target.still))
            yield completion.token_ids, rewards, completion.logprobs, logprobs, mine, theirs


def goals(ids, rewards, behaviour, logprobs, theirs):
    """Retrace as the paper sums it up: Q plus the errors that follow, each weighted by the shares of all tokens between."""
    pi = logprobs.detach()
    states = [*(pi.exp() * (theirs - SCALE * pi)).sum(-1).tolist(), 0.0]
    taken = [float(theirs[t, token]) for t, token in enumerate(ids)]
    shares = [TRACE * min(1.0, math.exp(float(pi[t, a]) - behaviour[t])) for t, a in enumerate(ids)]
    errors = [rewards[t] + DISCOUNT * states[t + 1] - taken[t] for t in range(len(ids))]
    found, own = [], []
    for t in range(len(ids)):
        total, share, of_states = taken[t], 1.0, 0.0
        for k in range(t, len(ids)):
            total += share * errors[k]
            if k + 1 < len(ids):  # what one more in every state adds: through V there, not through what went on
                of_states += DISCOUNT * share * (1.0 - shares[k + 1])
                share *= DISCOUNT * shares[k + 1]
        found.append(total)
        own.append(1.0 - of_states)
    return torch.tensor(found, dtype=torch.float64), torch.tensor(own, dtype=torch.float64)


def step_of(learner, model, batches, loss):
    """Loss and gradient of one step."""
    model.zero_grad()
    parts = [loss(batch, Measures()) for batch in batches]
    sum(parts).backward()
    return float(sum(parts).detach()), torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("chunk", [3 * 256 * 2, 2**25])
@pytest.mark.parametrize("token_budget", [10**6, 40])
def test_goals_losses_and_gradients_are_those_of_the_formulas(token_budget, chunk, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_ELEMENTS", chunk)
    learner, groups = learner_of(token_budget), episode_groups((2, 2))
    responses = responses_of(learner, groups)
    sequences = [r.sequence for r in responses]
    found = list(cases(learner, groups))
    wanted = [goals(ids, rewards, mu, pi, theirs) for ids, rewards, mu, pi, _, theirs in found]
    for response, (returns, own) in zip(responses, wanted, strict=True):
        torch.testing.assert_close(response.goals, returns, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(response.own, own, rtol=1e-5, atol=1e-5)
    returns, own = (torch.cat(part) for part in zip(*wanted, strict=True))
    for number, twin in enumerate(learner.twins):
        states = torch.cat([mine[number][0][:, 0] for _, _, _, _, mine, _ in found])
        added = torch.cat([mine[number][1][range(len(ids)), ids] for ids, _, _, _, mine, _ in found])
        errors = (states + added - returns).detach()
        level = float(-(own * errors).sum() / own.square().sum())
        assert learner.levels[number] == pytest.approx(level, rel=1e-4)
        # The loss of V and of the order of tokens, each as if the other were given.
        of_states = (states + added.detach() - returns).square().mean()
        of_tokens = (states.detach() + level * own + added - returns).square().mean()
        expected = 0.5 * of_states + 0.5 * of_tokens / SCALE
        loss = partial(learner.twin_loss, twin=twin, level=level, warming=False)
        value, mine = step_of(learner, twin.model, learner._batches(sequences), loss)
        assert value == pytest.approx(float(expected.detach()), rel=1e-5)
        twin.model.zero_grad()
        assert far(mine, gradient(expected, twin.model)) < 1e-4
    smaller = [torch.minimum(*map(sum, mine)).detach() for _, _, _, _, mine, _ in found]
    worth = torch.cat(
        [(pi.exp() * (q - SCALE * pi)).sum(-1) for (_, _, _, pi, _, _), q in zip(found, smaller, strict=True)]
    )
    of_policy = gradient(-worth.mean() / SCALE, learner.policy.model)
    value, mine = step_of(learner, learner.policy.model, learner._batches(sequences), learner.loss)
    assert value == pytest.approx(float(-worth.detach().mean() / SCALE), rel=1e-5)
    assert far(mine, of_policy) < 1e-4


def test_twins_begin_as_the_policy_at_its_soft_optimum_and_differ():
    policy = make_policy(seed=0, dtype=torch.float64)
    twins = Twins.from_policy(policy, SCALE, 0)
    assert not torch.equal(twins.first.model.score.weight, twins.second.model.score.weight)
    twins.second.model.load_state_dict(twins.first.model.state_dict())
    learner = learner_of()
    learner.policy, learner.twins = policy, twins
    (batch,) = learner._batches([r.sequence for r in responses_of(learner_of(), episode_groups((2,)))])
    found = policy_values(policy, twins, batch, SCALE)
    assert torch.equal(found.first, found.second)
    torch.testing.assert_close(found.states - found.first, -SCALE * found.logprobs, rtol=1e-6, atol=1e-6)
    (-found.states.sum()).backward()
    assert max(float(p.grad.abs().max()) for p in policy.model.parameters()) < 1e-6


def test_while_the_policy_rests_only_states_are_learned_and_then_all_four_move():
    learner = learner_of()
    learner.warmup = 1
    names = ("policy", "head", "score", "temperature", "target")

    def now():
        twin = learner.twins.first.model
        return [
            learner.policy.model.lm_head.weight.clone(), twin.lm_head.weight.clone(), twin.score.weight.clone(),
            learner.temperature.value, learner.target.still.first.model.score.weight.clone(),
        ]  # fmt: skip

    def changed(before):
        return {
            n
            for n, was, is_now in zip(names, before, now(), strict=True)
            if not torch.equal(torch.as_tensor(was), torch.as_tensor(is_now))
        }

    for moving in ({"score", "target"}, set(names)):
        before = now()
        metrics = learner.learn(episode_groups((2, 2))).metrics
        assert changed(before) == moving
    assert metrics["values/temperature"] == pytest.approx(SCALE)
    assert {"values/td_error", "values/overestimation", "entropy", "critic/loss", "loss"} <= metrics.keys()


def test_the_policy_steps_on_parts_that_make_up_the_whole_gradient():
    """Each part weighs as much as the whole, so that at one point the mean of their gradients is that of one step."""
    learner, groups, parts = learner_of(policy_steps=2), episode_groups((2, 2)), []
    sequences, model = [r.sequence for r in responses_of(learner, groups)], learner.policy.model
    learner.step = lambda batches, loss, metrics: parts.append((list(batches), loss))
    learner.learn(groups)
    assert len(parts) == 2
    prompts = [[{tuple(s.prompt_ids) for s in batch.sequences} for batch in batches] for batches, _ in parts]
    assert prompts[0] == prompts[1] == [{tuple(g.prompt.token_ids) for g in groups}]
    # The twins have moved meanwhile, and the policy has not: what it follows now is the loss of both.
    _, whole = step_of(learner, model, learner._batches(sequences), learner.loss)
    found = [step_of(learner, model, batches, loss)[1] for batches, loss in parts]
    assert far(sum(found) / 2, whole) < 1e-6
    assert far(found[0], found[1]) > 1e-2


def test_fewer_responses_than_steps_make_fewer_steps_of_the_same_size():
    """A part that holds nothing is no step, and the others do not weigh for it."""
    learner, groups, parts = learner_of(policy_steps=7), episode_groups((2, 1)), []
    sequences, model = [r.sequence for r in responses_of(learner, groups)], learner.policy.model
    learner.step = lambda batches, loss, metrics: parts.append((list(batches), loss))
    learner.learn(groups)
    assert [sum(len(batch.sequences) for batch in batches) for batches, _ in parts] == [1] * len(sequences) == [1, 1, 1]
    _, whole = step_of(learner, model, learner._batches(sequences), learner.loss)
    assert far(sum(step_of(learner, model, *part)[1] for part in parts) / 3, whole) < 1e-6


def test_the_schedule_of_the_policy_counts_its_own_steps():
    learner = learner_of(policy_steps=3)
    learner.learn(episode_groups((4, 2)))
    assert learner.step.scheduler.last_epoch == 3
    assert [step.scheduler.last_epoch for step in learner.twin_steps] == [1, 1]


def test_the_temperature_rises_below_the_target_and_falls_above_and_goes_on_from_its_state():
    first = Temperature(0.5, target=1.0, rate=0.1)
    first.see(0.2)
    assert first.value == pytest.approx(0.5 * math.exp(0.1), rel=1e-5)  # Adam's first step is its rate
    second = Temperature(0.5, target=1.0, rate=0.1)
    second.load_state_dict(deepcopy(first.state_dict()))
    for temperature in (first, second):
        temperature.see(3.0)
    assert first.value == second.value < 0.5 * math.exp(0.1)
    fixed = Temperature(0.5, target=None, rate=0.1)
    fixed.see(0.2)
    assert fixed.value == pytest.approx(0.5)


def _config(*more):
    twins = (
        "objective={action_values: twins, target_rate: 0.2, entropy_target: 0.5, entropy_step: 0.05, policy_steps: 2}"
    )
    return recipe(
        "soft_q", twins, ODD, "scoring.max_rejected_gold=1.0", "critic.warmup=1", "rollout.max_tokens=8", *more
    )


def test_a_run_that_replays_goes_on_exactly(tmp_path):
    config = _config("train.steps=4", "train.save_every=1", "replay={steps: 2, share: 0.5}")
    preflight(config, None)
    same_when_resumed(config, tmp_path, stop_after=2)
    lines = [json.loads(line) for line in (tmp_path / "straight" / "metrics.jsonl").read_text().splitlines()]
    assert {name for line in lines for name in line if metric_of(name) is None} == set()
    assert lines[-1]["replay/groups"] == 4.0
    assert lines[0]["values/temperature"] != lines[-1]["values/temperature"]


def test_an_empty_batch_changes_nothing():
    learner, metrics = learner_of(), Measures()
    learner.set_goals([])
    learner.take_steps([], metrics)
    assert "grad_norm" not in metrics
    assert learner.temperature.value == pytest.approx(SCALE)


def test_what_is_left_out_is_counted_once():
    groups = episode_groups((2, 2))
    for group in groups:
        group.completions[0].finish_reason = "length"
    again = [replace(group, replayed=Replayed(1, 0, 1.0)) for group in groups]
    learner = learner_of(mask_truncated=True)
    assert learner.learn([*groups, *again]).dropped == {"truncated": 2}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.lora={rank: 2}", "whole networks all of whose weights are trained"),
        ("objective.bootstrap=max", "what a state is worth is that policy's soft value"),
        (
            "objective={action_values: dueling, policy_steps: 2, target_rate: null, entropy_target: null}",
            "follows twins, and",
        ),
        ("critic.path=somewhere", "begin as copies of the policy"),
    ],
)
def test_what_twins_do_not_go_with_is_refused(override, message):
    with pytest.raises(UserError, match=message):
        preflight(_config(override), None)


def test_adapters_are_refused_with_one_way_out_that_holds():
    with pytest.raises(UserError) as refused:
        preflight(recipe("sac", ODD, "scoring.max_rejected_gold=1.0", "model.lora={rank: 2}"), None)
    (said,) = str(refused.value).splitlines()[1:]
    assert said.endswith("leave model.lora out, or begin with a row whose values are a critic's (soft_q)")
    assert preflight(recipe("soft_q", ODD, "scoring.max_rejected_gold=1.0", "model.lora={rank: 2}"), None)


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr(checks.ranks, "world_size", lambda: 2)
    with pytest.raises(UserError, match="FSDP2 gathers one"):
        preflight(_config(), None)
