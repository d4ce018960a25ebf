"""Adapters over a base of four bits (QLoRA), with bitsandbytes' kernels for the CPU."""

import pytest
import torch

from grpo_kit.errors import UserError
from grpo_kit.generate.decoder import can_decode
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.plan.memory import memory_of, setting_of
from grpo_kit.plan.shapes import shape_of
from grpo_kit.policy import four_bit
from grpo_kit.policy.flops import Work
from grpo_kit.policy.lora import attach_lora
from grpo_kit.policy.packing import micro_batches
from grpo_kit.policy.weights import exported_weights
from grpo_kit.runtime import ranks
from grpo_kit.train.assemble import prepare_policy
from grpo_kit.train.preflight import preflight
from tests.kit.optional import needs_extra
from tests.kit.runs import ODD, recipe, same_when_resumed
from tests.kit.sequences import random_sequences
from tests.kit.tiny import make_policy

SHAPE = "model.scratch={hidden_size: 64, intermediate_size: 128, layers: 2, heads: 2, context_length: 512}"
LORA = "model.lora={rank: 4, base_dtype: nf4}"

needs_extra("peft", "peft")


@pytest.fixture
def installed():
    needs_extra("bitsandbytes", "qlora")


def adapted(base_dtype, dtype="float32"):
    """Adapters that change something, and under every base the same ones."""
    config = recipe("grpo", SHAPE, f"model.lora={{rank: 4, base_dtype: {base_dtype}}}", f"model.dtype={dtype}")
    policy = prepare_policy(config)
    torch.manual_seed(0)
    policy = attach_lora(policy, config.model.lora)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05, generator=generator)
    return policy


def batch():
    (found,) = micro_batches(random_sequences(4), 10**6)
    return found


def logprobs(policy):
    with torch.no_grad():
        return policy.logprobs(batch(), 1.0)[0]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_is_near_the_model_of_floats_and_exports_what_it_computes_with(installed, dtype):
    small = adapted("nf4", dtype)
    off = (logprobs(small) - logprobs(adapted("float32"))).abs()
    assert 0.0 < float(off.mean()) < 0.1
    plain = make_policy(hidden_size=64, intermediate_size=128)
    plain.model.load_state_dict(dict(exported_weights(small.model)))
    torch.testing.assert_close(logprobs(small), logprobs(plain), atol=1e-4 if dtype == "float32" else 0.05, rtol=0.0)
    assert float((logprobs(small.reference()) - logprobs(small)).abs().max()) > 1e-3


def test_adapters_over_it_learn(installed):
    falls = {}
    for base_dtype in ("float32", "nf4"):
        policy, losses = adapted(base_dtype), []
        optimizer = torch.optim.AdamW([p for p in policy.model.parameters() if p.requires_grad], lr=1e-2)
        for _ in range(30):
            loss = -policy.logprobs(batch(), 1.0)[0].mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
        falls[base_dtype] = losses[0] - losses[-1]
    assert falls["nf4"] > 0.8 * falls["float32"] > 0.2


def test_a_run_over_it_resumes_exactly(installed, tmp_path):
    """Sampled with the model's own forward: to decode with joined matrices would be to have them whole."""
    settings = "train.steps=2", "train.save_every=1", "rollout.max_tokens=8", "scoring.max_rejected_gold=1.0"
    trainer = same_when_resumed(recipe("grpo", SHAPE, LORA, ODD, *settings), tmp_path)
    assert not can_decode(trainer.policy)


def test_a_plan_counts_it(installed):
    """Of a shape whose matrices hold whole blocks of scales."""
    wide = "model.scratch={hidden_size: 256, intermediate_size: 1024, layers: 2, heads: 4, context_length: 512}"
    config = recipe("grpo", wide, LORA)
    policy = attach_lora(prepare_policy(config), config.model.lora)
    small = [m for m in policy.model.modules() if isinstance(m, four_bit.FourBitLinear)]
    scales = sum(m.scales.absmax.nbytes + m.scales.state2.absmax.nbytes for m in small)
    measured = sum(p.nbytes for p in policy.model.parameters()) + sum(m.weight.nbytes for m in small) + scales
    objective = resolve_objective("grpo", {})
    setting = setting_of(config, objective, shape_of(config.model), devices=1, device="cpu", device_bytes=0)
    kept = memory_of(setting).kept
    assert kept["weights"] + kept["adapters"] == pytest.approx(measured, rel=0.01)


@pytest.mark.parametrize("base_dtype", ["float32", "bfloat16", "nf4"])
def test_a_critic_beside_adapters_is_counted_in_float32_whatever_the_base_is(base_dtype):
    config = recipe("ppo", SHAPE, f"model.lora={{rank: 4, base_dtype: {base_dtype}}}")
    shape = shape_of(config.model)
    setting = setting_of(config, resolve_objective("ppo", {}), shape, devices=1, device="cpu", device_bytes=0)
    assert memory_of(setting).kept["critic and its optimizer"] == 4 * shape.parameters * 3


def test_operations_are_counted_of_matrices_in_four_bits_too(installed):
    assert Work.of(adapted("nf4").model) == Work.of(adapted("float32").model)


@pytest.mark.parametrize(
    ("row", "overrides", "message"),
    [
        ("grpo", (), r"pip install \"grpo-kit\[qlora\]\""),
        ("trpo", (), "no second derivatives"),
    ],
)
def test_what_it_does_not_go_with_is_refused_at_the_start(row, overrides, message, monkeypatch):
    monkeypatch.setattr(four_bit, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=message):
        preflight(recipe(row, LORA, *overrides), None)


def test_devices_and_processes_that_it_is_not_for(monkeypatch):
    monkeypatch.setattr(four_bit, "find_spec", lambda name: "there")
    with pytest.raises(UserError, match="for cpu and cuda"):
        four_bit.check_four_bit(torch.device("mps"))
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    with pytest.raises(UserError, match="FSDP2 does not shard packed matrices"):
        preflight(recipe("grpo", LORA), None)
