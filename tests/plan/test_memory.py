"""The memory model against what autograd really keeps, and against shapes that transformers builds."""

from dataclasses import replace

import pytest
import torch

from grpo_kit.plan.advice import changes_that_fit, fits
from grpo_kit.plan.memory import Setting, memory_of
from grpo_kit.plan.memory import _saved_per_token as saved_per_token
from grpo_kit.plan.shape import KNOWN, ModelShape, known_shape

SEVEN = Setting(KNOWN["qwen2.5-7b"], 8, "cuda", True, 4096, 256, 1280, reference=True, engine="vllm", engine_share=0.4)
SEVEN = replace(SEVEN, device_bytes=80 * 2**30)


def qwen2(layers, kv_heads):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=300,
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=True,
    )
    return Qwen2ForCausalLM(config)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kv_heads", [8, 2])
def test_activations_are_what_autograd_keeps(half, kv_heads):
    """Bytes that a layer adds to the saved tensors, per token; parameters and their copies are counted elsewhere."""

    def saved(layers):
        model = qwen2(layers, kv_heads)
        sizes = {p.shape for p in model.parameters()} | {p.shape[::-1] for p in model.parameters()}
        kept = {}

        def pack(tensor):
            if tensor.shape not in sizes:
                kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        ids = torch.randint(0, 300, (4, 100))
        with (
            torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t),
            torch.autocast("cpu", torch.bfloat16, enabled=half),
        ):
            hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        assert hidden.requires_grad
        return sum(kept.values()) / ids.numel()

    measured = (saved(4) - saved(1)) / 3
    assert measured == pytest.approx(saved_per_token(ModelShape.of(qwen2(1, kv_heads).config), half), rel=0.03)


@pytest.mark.parametrize("kv_heads", [8, 4])
def test_parameters_are_counted(kv_heads):
    model = qwen2(3, kv_heads)
    assert ModelShape.of(model.config).parameters == sum(p.numel() for p in model.parameters())


def test_known_shapes_have_the_sizes_in_their_names():
    stated = {"qwen2.5-0.5b": 0.494, "qwen2.5-7b": 7.616, "qwen2.5-72b": 72.71, "llama-3.1-8b": 8.03}
    for name, billions in stated.items():
        assert KNOWN[name].parameters / 1e9 == pytest.approx(billions, rel=2e-3)
    assert known_shape("Qwen/Qwen2.5-Math-7B-Instruct") is KNOWN["qwen2.5-7b"]
    assert known_shape("./my-model") is None


def test_what_is_sharded_and_what_is_not():
    one, many = memory_of(replace(SEVEN, devices=1)), memory_of(SEVEN)
    for part in ("weights", "optimizer", "reference"):
        assert many.kept[part] == pytest.approx(one.kept[part] / 8, abs=1)
    assert many.update["activations"] == one.update["activations"]
    assert memory_of(replace(SEVEN, checkpointing=True)).update["activations"] < many.update["activations"] / 5
    lora = memory_of(replace(SEVEN, lora_rank=16, reference=False))
    assert lora.kept["optimizer"] < many.kept["optimizer"] / 50


def test_sampling_and_updating_are_never_there_together():
    memory = memory_of(SEVEN)
    both = sum(memory.generate.values()) + sum(memory.update.values())
    assert memory.peak < sum(memory.kept.values()) + both
    awake = memory_of(replace(SEVEN, engine_sleeps=False))
    assert awake.peak == sum(memory.kept.values()) + both


def test_the_nearest_change_that_fits_does_fit():
    assert fits(SEVEN)
    assert changes_that_fit(replace(SEVEN, micro_batch=32768))[0].text == "train.token_budget=4096"
    alone = replace(SEVEN, devices=1)
    assert not fits(alone)
    found = changes_that_fit(alone)
    assert found
    assert all(change.peak <= 0.95 * alone.device_bytes for change in found)
    assert any("--gpus=" in change.text for change in found)


def test_an_engine_without_room_does_not_fit():
    assert not fits(replace(SEVEN, engine_share=0.15))
    assert "memory_fraction" in changes_that_fit(replace(SEVEN, engine_share=0.15))[0].text
