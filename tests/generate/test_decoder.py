"""The written-out decoding step: which models it serves, and that it is the model's own arithmetic."""

import pytest
import torch

from grpo_kit.config import LoraConfig
from grpo_kit.generate import torch_engine
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.decoder import Decoder, can_decode
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.policy.layers import checkpoint_layers
from grpo_kit.policy.lora import attach_lora
from grpo_kit.types import Prompt
from tests.kit.builds import BUILDS, policy_of
from tests.kit.optional import needs_extra
from tests.kit.tiny import make_policy


def sample(policy, decodes):
    engine = TorchEngine(policy, max_rows=5)
    engine._decodes = decodes
    prompts = [Prompt(str(i), tuple(range(3, 5 + 2 * i))) for i in range(5)]
    sampling = SamplingParams(n=2, max_tokens=12, stop_token_ids=tuple(range(40, 46)))
    groups = sorted(engine.generate(prompts, sampling), key=lambda g: g[0].task_id)
    return [c for group in groups for c in group]


@pytest.mark.parametrize("build", BUILDS)
def test_equals_the_models_own_steps(build):
    policy = policy_of(BUILDS[build])
    assert can_decode(policy)
    ours, theirs = sample(policy, True), sample(policy, False)
    assert [c.token_ids for c in ours] == [c.token_ids for c in theirs]
    assert len({len(c.token_ids) for c in ours}) > 2
    for a, b in zip(ours, theirs, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-6)


def test_bfloat16_agrees_with_the_model_under_autocast():
    policy = policy_of(BUILDS["grouped heads and biases"], torch.float32)
    policy.autocast = torch.bfloat16
    assert can_decode(policy)
    assert Decoder(policy).dtype == torch.bfloat16
    for completion in sample(policy, True):
        prompt = list(range(3, 5 + 2 * int(completion.task_id)))
        with torch.no_grad(), policy.precision():
            logits = policy.model(input_ids=torch.tensor([prompt + completion.token_ids])).logits[0].float()
        logprobs = logits[len(prompt) - 1 : -1].log_softmax(-1)
        wanted = logprobs.gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        assert (torch.tensor(completion.logprobs) - wanted).abs().mean() < 0.05


@pytest.mark.parametrize("adapters", [False, True])
def test_checkpointing_in_training_changes_nothing_about_decoding(adapters):
    policy = make_policy()
    checkpoint_layers(policy.model)
    if adapters:
        needs_extra("peft", "peft")
        policy = attach_lora(policy, LoraConfig(rank=2))
        checkpoint_layers(policy.model)  # as `train` does, before and behind
    policy.model.eval()  # as sampling has it
    assert can_decode(policy)


def test_what_it_does_not_know_it_leaves_to_the_model(monkeypatch):
    policy = make_policy()
    assert can_decode(policy)
    policy.model.config.hidden_act = policy.backbone.config.hidden_act = "gelu"
    assert not can_decode(policy)
    policy = make_policy()
    policy.backbone.layers[0].register_forward_hook(lambda *_: None)
    assert not can_decode(policy)
    policy = make_policy()  # a change of the arithmetic that no attribute shows
    inner = policy.backbone.layers[1].mlp.forward
    policy.backbone.layers[1].mlp.forward = lambda hidden: 1.5 * inner(hidden)
    assert not can_decode(policy)
    monkeypatch.setattr(torch_engine, "Decoder", None)
    assert list(TorchEngine(policy).generate([Prompt("0", (5, 6))], SamplingParams(max_tokens=3)))


def test_a_row_that_ends_at_its_first_token_leaves_its_slot_whole(policy):
    """Rows move before the first step of the batch: the prompts' keys and values must move with them."""
    sampling = SamplingParams(n=4, max_tokens=6, stop_token_ids=tuple(range(0, 256, 2)), seed=2)
    prompts = [Prompt(str(i), tuple(range(20, 30 + i))) for i in range(3)]
    alone = {}
    for prompt in prompts:
        (group,) = TorchEngine(policy).generate([prompt], sampling)
        alone[prompt.task_id] = [c.token_ids for c in group]
    assert {len(t) for ids in alone.values() for t in ids} >= {1, 3}
    together = {g[0].task_id: [c.token_ids for c in g] for g in TorchEngine(policy).generate(prompts, sampling)}
    assert together == alone
