"""GRPO's loss and gradient on a real model, against a float64 formula written from the paper."""

import math
from dataclasses import replace

import pytest
import torch

from grpo_kit.config import OptimizerConfig
from grpo_kit.config.read import load_recipe
from grpo_kit.errors import RunFailed
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.dealing import empty_batch
from grpo_kit.train.batch import build_batch
from grpo_kit.train.update import PolicyUpdater
from tests.kit.groups import PROMPTS, REWARDS, TOKENS, groups
from tests.kit.tiny import make_policy


def logprobs(policy, prompt, tokens):
    logits = policy.model(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(-1, torch.tensor(tokens)[:, None])[:, 0]


def paper_loss(policy, old, reference, beta, low, high):
    """GRPO, arXiv:2402.03300, eq. 3 and 4, term by term."""
    total = torch.zeros((), dtype=torch.float64)
    for g, prompt in enumerate(PROMPTS):
        mean = sum(REWARDS[g]) / 3
        std = math.sqrt(sum((r - mean) ** 2 for r in REWARDS[g]) / 2)
        for i, tokens in enumerate(TOKENS[g]):
            advantage = (REWARDS[g][i] - mean) / std
            new = logprobs(policy, prompt, tokens)
            with torch.no_grad():
                before, base = logprobs(old, prompt, tokens), logprobs(reference, prompt, tokens)
            ratio = (new - before).exp()
            surrogate = torch.min(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
            kl = (base - new).exp() - (base - new) - 1
            total = total + (surrogate - beta * kl).mean() / 6
    return -total


def test_loss_and_gradient_equal_the_paper():
    policy, old, reference = (make_policy(seed=s, dtype=torch.float64) for s in (0, 1, 2))
    with torch.no_grad():  # an old policy near the new one, so that some ratios are clipped and some are not
        for mine, theirs in zip(old.model.parameters(), policy.model.parameters(), strict=True):
            mine.copy_(theirs + 0.25 * (mine - theirs))
    objective = resolve_objective("grpo", {"beta": 0.3, "clip_low": 0.02, "clip_high": 0.03})
    batch = build_batch(groups(), objective, max_tokens=8)
    updater = PolicyUpdater(
        policy, objective, OptimizerConfig(), total_updates=1, token_budget=12, temperature=1.0, reference=reference
    )
    for sequence, (old_logprobs, _) in updater.passed(batch.sequences, old, "a pass"):
        sequence.old_logprobs = old_logprobs
    updater.annotate(batch.sequences)
    metrics = Measures()
    losses = [updater.loss(b, metrics) for b in updater._batches(batch.sequences)]
    assert len(losses) > 2
    sum(losses).backward()
    ours = torch.cat([p.grad.flatten() for p in policy.model.parameters()])
    policy.model.zero_grad()
    expected = paper_loss(policy, old, reference, 0.3, 0.02, 0.03)
    expected.backward()
    theirs = torch.cat([p.grad.flatten() for p in policy.model.parameters()])
    assert sum(losses).item() == pytest.approx(expected.item(), rel=1e-5)  # advantages carry an epsilon of 1e-6
    assert (ours - theirs).norm() / theirs.norm() < 1e-5
    assert 0 < metrics["clip/low"] + metrics["clip/high"] < 1


BAND = {"rejection": "token", "rejection_low": 0.5, "rejection_high": 1.5}


@pytest.mark.parametrize("rejection", [{}, BAND])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_tokens_are_weighted_against_the_engine_that_sampled_them(level, rejection):
    """The gradient is that of the paper's loss with each token times min(w, cap), or 0 outside the band; w = trainer / engine."""
    policy, cap = make_policy(dtype=torch.float64), 1.5
    changes = {"correction": "truncated", "correction_level": level, "correction_cap": cap}
    objective = resolve_objective("grpo", {"beta": 0.0, **changes, **rejection})
    batch = build_batch(groups(), objective, max_tokens=8)
    offsets = iter([-1.0, -0.2, 0.0, 0.3, 0.9] * 10)
    expected = torch.zeros((), dtype=torch.float64)
    differences, weights = [], []
    for s in batch.sequences:
        ours = logprobs(policy, s.prompt_ids, s.completion_ids)
        difference = torch.tensor([next(offsets) for _ in s.completion_ids], dtype=torch.float64)
        s.behaviour_logprobs = ours.detach() - difference
        at_level = difference if level == "token" else difference.sum().expand_as(difference)
        weight = at_level.exp().clamp(max=cap)
        if rejection:
            weight = torch.where((difference.exp() > 1.5) | (difference.exp() < 0.5), 0.0, weight)
        expected = expected - s.weight * (weight * s.advantage * (ours - ours.detach()).exp()).sum()
        differences.append(difference)
        weights.append(at_level)
    config = OptimizerConfig()
    updater = PolicyUpdater(policy, objective, config, total_updates=1, token_budget=12, temperature=1.0)
    metrics = Measures()
    sum(updater.loss(b, metrics) for b in updater._batches(batch.sequences)).backward()
    ours = torch.cat([p.grad.flatten() for p in policy.model.parameters()])
    policy.model.zero_grad()
    expected.backward()
    theirs = torch.cat([p.grad.flatten() for p in policy.model.parameters()])
    assert (ours - theirs).norm() / theirs.norm() < 1e-6
    difference, at_level = torch.cat(differences), torch.cat(weights)
    assert metrics["mismatch/max_logprob_difference"] == pytest.approx(1.0)
    assert metrics["mismatch/mean_logprob_difference"] == pytest.approx(difference.abs().mean().item())
    assert metrics["mismatch/kl"] == pytest.approx((difference.exp() - difference - 1).mean().item())
    assert metrics["mismatch/chi2"] == pytest.approx(((2 * difference).exp() - 1).mean().item())
    of_responses = torch.stack([d.sum() for d in differences])
    assert metrics["mismatch/chi2_response"] == pytest.approx(((2 * of_responses).exp() - 1).mean().item())
    assert metrics["correction/capped"] == pytest.approx((at_level > math.log(cap)).double().mean().item())
    outside = [(d.exp() > 1.5) | (d.exp() < 0.5) for d in differences]
    if not rejection:
        assert "correction/rejected" not in metrics
        return
    assert metrics["correction/rejected"] == pytest.approx(torch.cat(outside).double().mean().item())
    assert metrics["correction/rejected_responses"] == pytest.approx(sum(bool(o.any()) for o in outside) / len(outside))


def test_a_bad_response_that_the_policy_has_left_is_rejected_at_the_update_that_finds_it():
    """DeepSeek-V3.2, eq. 9: the policy of now is compared with the one that sampled, not the one of the batch's start."""
    policy = make_policy(dtype=torch.float64)
    objective = resolve_objective("grpo", {"beta": 0.0, "rejection": "off_policy", "rejection_limit": 0.3})
    batch = build_batch(groups(), objective, max_tokens=8)
    expected, far = torch.zeros((), dtype=torch.float64), 0
    for number, s in enumerate(batch.sequences):
        ours = logprobs(policy, s.prompt_ids, s.completion_ids)
        shift = 0.5 if number % 2 else 0.1
        s.behaviour_logprobs = ours.detach() + shift
        s.old_logprobs = ours.detach() + 0.05
        if s.advantage >= 0 or shift < 0.3:
            bounded = torch.min(
                (ours - s.old_logprobs).exp() * s.advantage, (ours - s.old_logprobs).exp().clamp(0.8, 1.2) * s.advantage
            )
            expected = expected - s.weight * bounded.sum()
        else:
            far += len(s.completion_ids)
    updater = PolicyUpdater(policy, objective, OptimizerConfig(), total_updates=1, token_budget=12, temperature=1.0)
    metrics = Measures()
    loss = sum(updater.loss(b, metrics) for b in updater._batches(batch.sequences))
    assert far
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert metrics["correction/rejected"] == pytest.approx(far / sum(len(s.completion_ids) for s in batch.sequences))


@pytest.mark.parametrize("several", [False, True])
def test_the_ratio_to_the_engine_is_clipped_as_a_whole(several):
    """PPO's clipped loss with the engine's log-probabilities as old ones, in the first update of a batch and in later ones."""
    policy = make_policy(dtype=torch.float64)
    objective = resolve_objective("grpo", {"beta": 0.0, "correction": "in_ratio"})
    batch = build_batch(groups(), objective, max_tokens=8)
    offsets = iter([-1.0, -0.1, 0.0, 0.15, 0.9] * 10)
    expected, bounded = torch.zeros((), dtype=torch.float64), []
    for s in batch.sequences:
        ours = logprobs(policy, s.prompt_ids, s.completion_ids)
        difference = torch.tensor([next(offsets) for _ in s.completion_ids], dtype=torch.float64)
        s.behaviour_logprobs = ours.detach() - difference
        ratio = (ours - ours.detach() + difference).exp()
        least = torch.minimum(ratio * s.advantage, ratio.clamp(0.8, 1.2) * s.advantage)
        expected = expected - s.weight * least.sum()
        bounded.append((difference.exp() > 1.2) if s.advantage > 0 else (difference.exp() < 0.8))
    updater = PolicyUpdater(policy, objective, OptimizerConfig(), total_updates=1, token_budget=12, temperature=1.0)
    updater.annotate(batch.sequences, several_updates=several)
    metrics = Measures()
    loss = sum(updater.loss(b, metrics) for b in updater._batches(batch.sequences))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    ours = torch.cat([p.grad.flatten() for p in policy.model.parameters()])
    policy.model.zero_grad()
    expected.backward()
    theirs = torch.cat([p.grad.flatten() for p in policy.model.parameters()])
    assert (ours - theirs).norm() / theirs.norm() < 1e-6
    assert metrics["clip/low"] + metrics["clip/high"] == pytest.approx(torch.cat(bounded).double().mean().item())


def updater_for(policy, **options):
    config = OptimizerConfig(**{"learning_rate": 1e-2, **options})
    return PolicyUpdater(
        policy, resolve_objective("grpo", {"beta": 0.0}), config, total_updates=4, token_budget=64, temperature=1.0
    )


def test_an_update_makes_good_completions_likelier_and_bad_ones_less_likely(policy):
    batch = build_batch(groups(), resolve_objective("grpo", {"beta": 0.0}), max_tokens=8)
    before = [logprobs(policy, s.prompt_ids, s.completion_ids).sum().item() for s in batch.sequences]
    updater_for(policy, learning_rate=1e-3).update(batch.updates)
    after = [logprobs(policy, s.prompt_ids, s.completion_ids).sum().item() for s in batch.sequences]
    gains = {s.advantage: a - b for s, a, b in zip(batch.sequences, after, before, strict=True)}
    assert gains[max(gains)] > 0 > gains[min(gains)]


def test_several_updates_per_batch_move_the_ratio(policy):
    batch = build_batch(groups(), resolve_objective("grpo", {"beta": 0.0}), max_tokens=8, updates=2)
    summary = updater_for(policy).update(batch.updates, epochs=2)
    assert summary["ratio/max"] > 1.01
    assert summary["mismatch/max_logprob_difference"] >= 0
    assert summary["clip/low"] + summary["clip/high"] > 0.0 == summary["clip/unmoved"]  # clipped later on alone


def test_gradient_norm_is_clipped(policy):
    batch = build_batch(groups(), resolve_objective("grpo", {"beta": 0.0}), max_tokens=8)
    updater = updater_for(policy, max_grad_norm=1e-3)
    norms = []

    def look(*_):
        norms.append(torch.cat([p.grad.flatten() for p in policy.model.parameters()]).norm().item())

    updater.step.optimizer.register_step_pre_hook(look)
    summary = updater.update(batch.updates)
    assert summary["grad_norm"] > 1e-3
    assert norms == [pytest.approx(1e-3, rel=1e-3)]
    assert all(p.grad is None for p in policy.model.parameters())  # their memory is the engine's while it samples


def test_updates_that_are_not_finite_are_skipped_and_then_stop_the_run(policy):
    batch = build_batch(groups(), resolve_objective("grpo", {"beta": 0.0}), max_tokens=8)
    batch.sequences[0].advantage = float("nan")
    updater = updater_for(policy)
    before = [p.clone() for p in policy.model.parameters()]
    assert updater.update(batch.updates)["skipped_updates"] == 1.0
    updater.update(batch.updates)
    assert all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))
    with pytest.raises(RunFailed, match="3 updates in a row were not finite"):
        updater.update(batch.updates)


def test_an_empty_update_changes_nothing(policy):
    before = [p.clone() for p in policy.model.parameters()]
    updater_for(policy).update([[]])
    assert all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))


@pytest.mark.filterwarnings("error")
def test_the_schedule_counts_updates_that_moved_the_weights(policy):
    """Neither an empty update nor one that is not finite uses up the warm-up, and torch has nothing to warn of."""
    updater = updater_for(policy, schedule="linear", warmup_steps=2, learning_rate=1e-3)
    batch = build_batch(groups(), resolve_objective("grpo", {"beta": 0.0}), max_tokens=8)
    good = batch.sequences[0].advantage
    rates = [updater.update([[]])["learning_rate"]]
    batch.sequences[0].advantage = float("nan")
    rates.append(updater.update(batch.updates)["learning_rate"])
    batch.sequences[0].advantage = good
    rates += [updater.update(batch.updates)["learning_rate"] for _ in range(2)]
    assert rates == pytest.approx([1e-3 / 3, 1e-3 / 3, 1e-3 / 3, 2e-3 / 3])


def test_how_far_the_policy_moved_is_measured_beside_empty_micro_batches(policy):
    """A rank that was dealt fewer micro-batches than another makes up the number with empty ones."""
    batch = build_batch(groups(), resolve_objective("grpo", {"beta": 0.0}), max_tokens=8)
    updater = updater_for(policy)
    updater.annotate(batch.sequences, several_updates=True)
    updater.optimizer_step(batch.sequences, Measures())
    alone, dealt = updater._moved(batch.sequences), updater._batches
    updater._batches = lambda sequences: [*dealt(sequences), empty_batch(policy.device)]
    assert updater._moved(batch.sequences) == alone > 0.0


def test_demonstrations_are_weighted_by_nobody(policy):
    """No policy sampled them: there is nothing to correct for, and no mismatch to measure."""
    batch = build_batch(groups(), resolve_objective("grpo", {"beta": 0.0}), max_tokens=8)
    updater = updater_for(policy)
    assert "mismatch/kl" in updater.update(batch.updates)
    for sequence in batch.sequences:
        sequence.behaviour_logprobs = None
    metrics = updater.update(batch.updates)
    assert "clip/low" in metrics
    assert not [name for name in metrics if name.startswith(("mismatch/", "correction/"))]


def test_a_kl_term_needs_a_reference(policy):
    with pytest.raises(ValueError, match="reference"):
        PolicyUpdater(
            policy,
            resolve_objective("grpo", {}),
            OptimizerConfig(),
            total_updates=1,
            token_budget=64,
            temperature=1.0,
        )


def test_no_update_of_a_warm_up_is_thrown_away(policy):
    """transformers' schedules begin at 0, which would leave what the first batch taught behind."""
    updater = updater_for(policy, schedule="cosine", warmup_steps=3, learning_rate=1e-3)
    before = torch.nn.utils.parameters_to_vector(policy.model.parameters()).detach().clone()
    batch = build_batch(groups(), resolve_objective("grpo", {"beta": 0.0}), max_tokens=8)
    rates = [updater.update(batch.updates)["learning_rate"] for _ in range(4)]
    assert rates == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3])
    assert not torch.equal(before, torch.nn.utils.parameters_to_vector(policy.model.parameters()))


@pytest.mark.parametrize("aggregation", ["sequence_mean", "token_mean", "constant_length", "sequence_sum"])
def test_the_entropy_bonus_is_of_the_mean_token_entropy(policy, aggregation):
    """Whatever the aggregation of the loss: a coefficient means the same in every row."""
    plain = {"beta": 0.0, "aggregation": aggregation}

    def loss(**overrides):
        objective = resolve_objective("grpo", plain | overrides)
        updater = PolicyUpdater(policy, objective, OptimizerConfig(), total_updates=1, token_budget=12, temperature=1.0)
        batch, metrics = build_batch(groups(), objective, max_tokens=8), Measures()
        return sum(float(updater.loss(b, metrics)) for b in updater._batches(batch.sequences)), metrics

    with torch.no_grad():
        without, _ = loss()
        with_bonus, seen = loss(entropy_bonus=0.5)
    assert with_bonus == pytest.approx(without - 0.5 * seen["entropy"], rel=1e-5)


def test_the_policys_schedule_begins_when_the_critic_is_warm():
    from grpo_kit.train.learners import open_learner

    once = ["train.updates_per_batch=1", "train.epochs_per_batch=1", "train.steps=12", "critic.warmup=4"]
    config = load_recipe("ppo/ppo", [*once, "optimizer.schedule=linear", "optimizer.warmup_steps=0"])
    objective = resolve_objective("ppo", config.objective)
    step = open_learner(config, objective, make_policy()).updater.step
    rates = []
    for _ in range(8):
        rates.append(step.scheduler.get_last_lr()[0] / config.optimizer.learning_rate)
        step.optimizer.step()
        step.scheduler.step()
    assert rates == pytest.approx([1 - k / 8 for k in range(8)])


def test_an_entropy_target_moves_the_bonus_from_batch_to_batch_and_is_remembered(policy):
    """Skywork-OR1, arXiv:2505.22312: a step up at or below the target; above it a step down, and no bonus in the next batch."""
    batch = build_batch(groups(), resolve_objective("grpo", {"beta": 0.0}), max_tokens=8)

    def updater(target):
        row = resolve_objective("grpo", {"beta": 0.0, "entropy_bonus": 0.01, "entropy_target": target})
        config = OptimizerConfig(learning_rate=1e-9)
        return PolicyUpdater(policy, row, config, total_updates=9, token_budget=64, temperature=1.0)

    low, high = updater(50.0), updater(1e-3)
    assert [low.update(batch.updates)["entropy_bonus"] for _ in range(3)] == pytest.approx([0.01, 0.015, 0.02])
    assert [high.update(batch.updates)["entropy_bonus"] for _ in range(3)] == pytest.approx([0.01, 0.0, 0.0])
    assert high.adaptive.entropy_bonus == 0.0
    again = updater(50.0)
    again.load_state_dict(low.state_dict())
    assert again.update(batch.updates)["entropy_bonus"] == pytest.approx(0.025)


def test_tokens_that_are_held_back_are_the_same_for_every_split(policy):
    row = resolve_objective("clip_cov", {"covariance_share": 0.4, "covariance_low": -9.0, "covariance_high": 9.0})
    batch = build_batch(groups(), row, max_tokens=8)
    updater = PolicyUpdater(policy, row, OptimizerConfig(), total_updates=1, token_budget=12, temperature=1.0)
    metrics = updater.update(batch.updates)
    held = [(~s.token_mask).tolist() for s in batch.sequences]
    count = sum(map(len, held))
    assert metrics["tokens/held_back"] == pytest.approx(int(0.4 * count) / count)
    assert sum(map(sum, held)) == int(0.4 * count)


@pytest.mark.parametrize("choice", [{"tokens": "clip_cov"}, {"tokens": "kl_cov"}, {"entropy_share": 0.5}])
def test_a_response_that_says_nothing_has_no_token_to_choose(policy, choice):
    """An episode may be over before the policy could say a word."""
    row = resolve_objective("grpo", {"beta": 0.0, **choice})
    first, *others = groups()
    silent = replace(first.completions[1], token_ids=[], logprobs=[])
    batch = build_batch(
        [replace(first, completions=[first.completions[0], silent, first.completions[2]]), *others], row, max_tokens=8
    )
    updater = PolicyUpdater(policy, row, OptimizerConfig(), total_updates=1, token_budget=12, temperature=1.0)
    assert math.isfinite(updater.update(batch.updates)["grad_norm"])


def test_tokens_are_chosen_among_all_of_a_step_also_those_of_groups_that_agree(policy):
    """Half of the tokens are those above the median of all, and groups that all are right hold tokens of low entropy."""
    row = resolve_objective("grpo", {"beta": 0.0, "entropy_share": 0.5})
    agreeing = [replace(g, scores=[replace(s, value=1.0) for s in g.scores]) for g in groups()]
    batch = build_batch([*groups(), *agreeing], row, max_tokens=8)
    updater = PolicyUpdater(policy, row, OptimizerConfig(), total_updates=1, token_budget=12, temperature=1.0)
    updater.update(batch.updates)
    assert len(batch.sequences) == 12
    every = torch.cat([s.entropies for s in batch.sequences]).float()
    assert torch.equal(torch.cat([s.token_mask for s in batch.sequences]), every >= every.quantile(0.5))


@pytest.mark.parametrize(
    ("algorithm", "choices"), [("rloo", {"beta": 0.0}), ("grpo", {"beta": 0.1, "kl_weighted": True})]
)
def test_what_is_rejected_for_being_far_away_spoils_no_update(algorithm, choices):
    """The ratios of a response have no exponential in float32; the responses beside it are learned from, and how far it was is no
    matter."""
    near, far = (_update_with_a_rejected_one(algorithm, choices, distance) for distance in (10.0, 100.0))
    assert (near["loss"], near["grad_norm"]) == pytest.approx((far["loss"], far["grad_norm"]), rel=1e-6)
    assert 0 < far["grad_norm"] < 100


def _update_with_a_rejected_one(algorithm, choices, distance):
    policy = make_policy()
    row = resolve_objective(algorithm, {**choices, "correction": "in_ratio", "rejection": "sequence"})
    batch = build_batch(groups(), row, max_tokens=8)
    updater = PolicyUpdater(
        policy, row, OptimizerConfig(), total_updates=1, token_budget=12, temperature=1.0, reference=make_policy(seed=2)
    )
    near = [
        (s, logprobs(policy, s.prompt_ids, s.completion_ids).detach() + 0.01 * (i % 3))
        for i, s in enumerate(batch.sequences)
    ]
    for sequence, recorded in near:
        sequence.behaviour_logprobs = recorded
    bad = next(s for s in batch.sequences if s.advantage < 0)
    bad.behaviour_logprobs = bad.behaviour_logprobs - distance
    metrics = updater.update(batch.updates)
    assert metrics.get("skipped_updates") is None
    assert math.isfinite(metrics["loss"])
    assert 0 < metrics["correction/rejected_responses"] < 0.5
    return metrics


def test_a_token_that_carries_no_gradient_spoils_no_update_however_far_it_went(policy):
    """Chosen by entropy, and of an advantage below 0: nothing bounds its ratio, and 0 times infinity is not 0."""
    row = resolve_objective("grpo", {"beta": 0.0, "entropy_share": 0.5})
    batch = build_batch(groups(), row, max_tokens=8)
    updater = PolicyUpdater(policy, row, OptimizerConfig(), total_updates=1, token_budget=12, temperature=1.0)
    updater.annotate(batch.sequences)
    for sequence in batch.sequences:
        sequence.token_mask = torch.arange(len(sequence.completion_ids)) > 0
        if sequence.advantage < 0:
            sequence.old_logprobs[0] -= 100.0
    metrics = Measures()
    updater.optimizer_step(batch.sequences, metrics)
    assert metrics.get("skipped_updates") is None
    assert math.isfinite(metrics["loss"])
    assert metrics["grad_norm"] > 0
