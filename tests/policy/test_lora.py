"""LoRA: adapters off are the reference, what is saved is a plain model, and only adapters learn."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from grpo_kit.config import LoraConfig
from grpo_kit.errors import UserError
from grpo_kit.generate.decoder import Decoder
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.plan.memory import memory_of, setting_of
from grpo_kit.plan.shapes import shape_of
from grpo_kit.policy.lora import attach_lora
from grpo_kit.policy.packing import micro_batches
from grpo_kit.policy.weights import exported_weights
from grpo_kit.runtime import ranks
from tests.kit.optional import needs_extra
from tests.kit.runs import recipe, same_when_resumed, weights
from tests.kit.sequences import random_sequences
from tests.kit.tiny import make_policy

ODD = Path(__file__).parents[1] / "kit" / "odd.py"
needs_extra("peft", "peft")


def adapted(moved=True):
    base = make_policy()
    plain = make_policy()
    policy = attach_lora(base, LoraConfig(rank=4))
    if moved:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, parameter in policy.model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.2, generator=generator)
    return policy, plain


def logprobs(policy):
    with torch.no_grad():
        return torch.cat([policy.logprobs(b, 1.0)[0] for b in micro_batches(random_sequences(4), 10**6)])


def test_fresh_adapters_change_nothing_and_adapters_off_are_the_reference():
    fresh, plain = adapted(moved=False)
    assert torch.allclose(logprobs(fresh), logprobs(plain), atol=1e-6)
    policy, _ = adapted()
    assert (logprobs(policy) - logprobs(plain)).abs().max() > 0.01
    assert torch.allclose(logprobs(policy.reference()), logprobs(plain), atol=1e-6)
    assert (logprobs(policy) - logprobs(plain)).abs().max() > 0.01  # and they are on again
    assert policy.reference().model is policy.model  # no second model in memory


def test_what_is_saved_is_a_plain_model_with_the_adapters_merged(tmp_path):
    policy, _ = adapted()
    policy.save(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert not any("lora" in name for name, _ in loaded.named_parameters())
    ids = torch.arange(20)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            loaded(input_ids=ids).logits, policy.model(input_ids=ids).logits, rtol=1e-4, atol=1e-4
        )


def test_adapters_are_loaded_back_exactly(tmp_path):
    policy, _ = adapted()
    policy.save(tmp_path)
    other, _ = adapted(moved=False)
    other.load_weights(tmp_path)
    assert torch.equal(logprobs(policy), logprobs(other))


def test_layers_that_are_not_there_are_named():
    with pytest.raises(UserError, match=r"model.lora.targets: .*no_such_layer"):
        attach_lora(make_policy(), LoraConfig(targets=("no_such_layer",)))


@pytest.mark.parametrize("algorithm", ["grpo", "dpo", "ppo", "trpo"])
def test_a_run_with_adapters_resumes_exactly_and_leaves_the_base_alone(algorithm, tmp_path):
    config = recipe(
        algorithm, "model.lora={rank: 2}", "train.steps=2", "train.save_every=1", "rollout.max_tokens=8",
        f"verifiers.0.name={ODD}:odd", "scoring.max_rejected_gold=1.0",
    )  # fmt: skip
    trainer = same_when_resumed(config, tmp_path)
    base = make_policy(hidden_size=32).model.state_dict()
    trained = trainer.policy.model.get_base_model().state_dict()
    frozen = {k.replace(".base_layer", ""): v for k, v in trained.items() if "lora" not in k}
    assert all(torch.equal(frozen[k], v) for k, v in base.items())
    saved = weights(tmp_path / "straight")
    assert any(not torch.equal(saved[k], base[k]) for k in saved)
    lines = [json.loads(line) for line in (tmp_path / "straight" / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 2


def narrow(base_dtype):
    policy = make_policy(hidden_size=64, intermediate_size=128)
    policy.autocast = torch.bfloat16
    torch.manual_seed(0)  # adapters begin at random
    policy = attach_lora(policy, LoraConfig(rank=4, base_dtype=base_dtype))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            if "base_layer.weight" in name:  # as of a checkpoint of bfloat16, which most are
                parameter.copy_(parameter.bfloat16())
            if "lora_B" in name:
                parameter.normal_(std=0.2, generator=generator)
    return policy


def test_a_base_of_bfloat16_is_half_of_the_memory_and_nothing_else():
    wide, half = narrow("float32"), narrow("bfloat16")
    found = []
    for policy in (wide, half):
        (batch,) = micro_batches(random_sequences(4), 10**6)
        chosen, _ = policy.logprobs(batch, 1.0)
        chosen.sum().backward()
        gradients = [p.grad for p in policy.model.parameters() if p.requires_grad]
        exported = dict(exported_weights(policy.model))
        with policy.precision():
            decoded = [layer.qkv for layer in Decoder(policy).layers]
        found.append([chosen.detach(), logprobs(policy.reference()), *gradients, *exported.values(), *decoded])
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*found, strict=True))
    frozen = [
        sum(p.nbytes for n, p in policy.model.named_parameters() if "base_layer.weight" in n) for policy in (wide, half)
    ]
    assert frozen[0] == 2 * frozen[1] > 0
    lora = "model.lora={rank: 4, base_dtype: bfloat16}"
    shape = "model.scratch={hidden_size: 64, intermediate_size: 128, layers: 2, heads: 2, context_length: 512}"
    config = recipe("grpo", shape, lora, "model.dtype=bfloat16")
    setting = setting_of(
        config, resolve_objective("grpo", {}), shape_of(config.model), devices=1, device="cpu", device_bytes=0
    )
    kept = memory_of(setting).kept
    assert kept["weights"] + kept["adapters"] == pytest.approx(sum(p.nbytes for p in half.model.parameters()), rel=0.01)


def test_a_base_of_bfloat16_needs_products_in_bfloat16(monkeypatch):
    with pytest.raises(UserError, match=r"model\.dtype=bfloat16"):
        attach_lora(make_policy(), LoraConfig(rank=4, base_dtype="bfloat16"))
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    policy = make_policy()
    policy.autocast = torch.bfloat16
    with pytest.raises(UserError, match="one process"):
        attach_lora(policy, LoraConfig(rank=4, base_dtype="bfloat16"))
