"""Stopping, slots, streaming and refusals of the embedded engine."""

import pytest
import torch

from grpo_kit.errors import UserError
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.types import Prompt
from tests.kit.tiny import make_policy


def prompts(count):
    return [Prompt(str(i), tuple(range(30, 36 + i))) for i in range(count)]


def test_stop_token_is_kept_and_ends_the_completion(policy):
    stops = tuple(range(128))
    (group,) = TorchEngine(policy).generate(prompts(1), SamplingParams(n=16, max_tokens=40, stop_token_ids=stops))
    for completion in group:
        inside, last = completion.token_ids[:-1], completion.token_ids[-1]
        assert not set(inside) & set(stops)
        assert (last in stops) == (completion.finish_reason == "stop")
        assert len(completion.logprobs) == len(completion.token_ids)
    assert any(c.finish_reason == "stop" for c in group)


def test_length_limit(policy):
    (group,) = TorchEngine(policy).generate(prompts(1), SamplingParams(n=3, max_tokens=5))
    assert [len(c.token_ids) for c in group] == [5, 5, 5]
    assert all(c.truncated for c in group)


def test_stop_string_cuts_the_text_and_keeps_the_tokens(policy):
    whole = next(iter(TorchEngine(policy).generate(prompts(1), SamplingParams(max_tokens=30))))[0]
    stop = whole.text[7:9]
    at = whole.text.index(stop)
    cut = next(iter(TorchEngine(policy).generate(prompts(1), SamplingParams(max_tokens=30, stop=(stop,)))))[0]
    assert cut.finish_reason == "stop"
    assert cut.text == whole.text[:at]
    assert cut.token_ids == whole.token_ids[: len(cut.token_ids)]
    assert policy.tokenizer.decode(cut.token_ids).endswith(stop)


def test_more_samples_than_rows_and_streaming(policy):
    engine = TorchEngine(policy, max_rows=4)
    groups = list(engine.generate(prompts(9), SamplingParams(n=6, max_tokens=8)))
    assert sorted(int(g[0].task_id) for g in groups) == list(range(9))
    assert all([c.sample_index for c in g] == list(range(6)) for g in groups)


def test_what_is_under_way_is_told_before_anything_is_finished(policy):
    engine, told, finished = TorchEngine(policy, max_rows=4), [], []

    def tell(amount):
        told.append((len(finished), amount))

    for group in engine.generate(prompts(3), SamplingParams(n=2, max_tokens=8), tell):
        finished.append(group)
    first = [amount for done, amount in told if not done]
    assert first == sorted(first)
    assert first[0] == pytest.approx(2 * 2 / 8)  # two prompts in four rows, two of eight tokens each
    assert all(0 <= amount <= 2 for _, amount in told)


def test_policy_version_travels_with_completions(policy):
    engine = TorchEngine(policy)
    engine.sync(policy.model, 41)
    assert engine.policy_version == 41
    (group,) = engine.generate(prompts(1), SamplingParams(n=2, max_tokens=2))
    assert [c.policy_version for c in group] == [41, 41]


def test_new_weights_are_used_at_once(policy):
    """The engine shares the trainer's weights: nothing computed with older ones may survive an update."""
    engine = TorchEngine(policy)
    sampling = SamplingParams(temperature=0.0, max_tokens=8)
    list(engine.generate(prompts(2), sampling))
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.copy_(make_policy(seed=9).model.get_parameter(_name(policy, parameter)))
    engine.sync(policy.model, 1)
    after = [g[0].token_ids for g in engine.generate(prompts(2), sampling)]
    fresh = [g[0].token_ids for g in TorchEngine(make_policy(seed=9)).generate(prompts(2), sampling)]
    assert after == fresh


def _name(policy, wanted):
    return next(name for name, p in policy.model.named_parameters() if p is wanted)


def test_training_mode_is_restored(policy):
    policy.model.train()
    list(TorchEngine(policy).generate(prompts(1), SamplingParams(max_tokens=2)))
    assert policy.model.training


def test_context_overflow_is_refused_before_sampling(policy):
    with pytest.raises(UserError, match=r"exceeds the model's context of 512"):
        TorchEngine(policy).generate(prompts(1), SamplingParams(max_tokens=510))


def test_duplicate_task_ids_are_refused(policy):
    with pytest.raises(ValueError, match="task id of its own"):
        TorchEngine(policy).generate([prompts(1)[0]] * 2, SamplingParams())


def test_sliding_window_models_are_refused(policy):
    policy.model.config.layer_types = ["sliding_attention", "full_attention"]
    with pytest.raises(UserError, match="sliding_attention"):
        TorchEngine(policy)
