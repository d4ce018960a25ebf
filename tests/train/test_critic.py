"""The critic: no opinion at first, law 1 for its gradient, and it does learn returns."""

import pytest
import torch

from grpo_kit.config import OptimizerConfig
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.packing import micro_batches
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.train.critic import CriticUpdater
from tests.kit.sequences import random_sequences
from tests.kit.tiny import make_policy


def updater(budget=10**6, dtype=torch.float32, **options):
    critic = ValueModel.from_policy(make_policy(dtype=dtype))
    return CriticUpdater(
        critic, OptimizerConfig(learning_rate=options.pop("learning_rate", 1e-2)), clip=options.pop("clip", None),
        total_updates=100, token_budget=budget,
    )  # fmt: skip


def with_returns(sequences):
    for sequence in sequences:
        length = len(sequence.completion_ids)
        sequence.returns = torch.full((length,), float(sequence.completion_ids[0] % 2), dtype=torch.float64)
    return sequences


def test_a_new_critic_has_the_policys_backbone_and_says_zero():
    policy = make_policy()
    critic = ValueModel.from_policy(policy)
    (batch,) = micro_batches(random_sequences(4), 10**6)
    assert critic.values(batch).abs().max() == 0.0
    with torch.no_grad():
        ours = critic.model.base_model(input_ids=batch.input_ids).last_hidden_state
        assert torch.equal(ours, policy.hidden(batch.input_ids))


def test_values_are_those_before_each_token_and_rewards_those_at_the_last():
    critic = ValueModel.from_policy(make_policy())
    with torch.no_grad():
        critic.model.score.weight.normal_(generator=torch.Generator().manual_seed(0))
    sequences = random_sequences(3)
    for batch in micro_batches(sequences, 10**6):
        values, rewards = batch.split(critic.values(batch)), critic.rewards(batch)
        for i, s in enumerate(batch.sequences):
            whole = torch.tensor([[*s.prompt_ids, *s.completion_ids]])
            scores = critic.model.score(critic.model.base_model(input_ids=whole).last_hidden_state)[0, :, 0]
            start = len(s.prompt_ids) - 1
            torch.testing.assert_close(values[i], scores[start:-1], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(rewards[i], scores[-1], rtol=1e-4, atol=1e-5)


def test_the_gradient_does_not_depend_on_the_split():
    found = []
    for budget in (30, 10**6):
        u = updater(budget, torch.float64, clip=0.1)
        with torch.no_grad():
            u.critic.model.score.weight.normal_(generator=torch.Generator().manual_seed(0))
        sequences = with_returns(random_sequences())
        u.annotate(sequences)
        with torch.no_grad():
            u.critic.model.score.weight.mul_(1.1)
        count = sum(len(s.completion_ids) for s in sequences)
        sum(u.loss(b, Measures(), count) for b in u._batches(sequences)).backward()
        found.append(torch.cat([p.grad.flatten() for p in u.critic.model.parameters()]))
    assert (found[0] - found[1]).norm() / found[1].norm() < 1e-9


def test_it_learns_what_decides_the_return():
    u, explained = updater(), []
    for _ in range(40):
        sequences = with_returns(random_sequences(12, seed=3))
        u.annotate(sequences)
        metrics = Measures()
        u.update([sequences], 1, metrics)
        explained.append(metrics["critic/explained_variance"])
    assert explained[0] == pytest.approx(0.0, abs=1e-9)
    assert explained[-1] > 0.5


def test_a_saved_reward_model_starts_a_critic(tmp_path):
    policy = make_policy()
    model = ValueModel.from_policy(policy)
    with torch.no_grad():
        model.model.score.weight.normal_(generator=torch.Generator().manual_seed(0))
    model.save(tmp_path)
    again = ValueModel.load(str(tmp_path), policy)
    (batch,) = micro_batches(random_sequences(3), 10**6)
    assert torch.equal(again.values(batch), model.values(batch))


def test_a_reward_model_of_another_vocabulary_is_refused(tmp_path):
    from grpo_kit.errors import UserError

    policy = make_policy()
    ValueModel.from_policy(policy).save(tmp_path)
    policy.model.config.vocab_size += 1
    with pytest.raises(UserError, match=r"critic.path: .* vocabulary"):
        ValueModel.load(str(tmp_path), policy)
