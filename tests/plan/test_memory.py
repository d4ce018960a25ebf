"""The memory model against what autograd really keeps, and against shapes that transformers builds."""

from dataclasses import replace

import pytest
import torch

from grpo_kit.config import Config, LoraConfig
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.plan import heap
from grpo_kit.plan.advice import changes_that_fit, fits
from grpo_kit.plan.memory import Setting, activation_bytes, memory_of, saved_per_token, setting_of
from grpo_kit.plan.shape import KNOWN, ModelShape, known_shape
from grpo_kit.plan.shapes import shape_of
from grpo_kit.plan.work import work_of
from grpo_kit.policy.attention import use_float32_attention
from grpo_kit.policy.lora import attach_lora
from grpo_kit.policy.models import Policy
from grpo_kit.train.reference import open_reference
from tests.kit.runs import recipe
from tests.kit.tiny import make_policy

SEVEN = Setting(KNOWN["qwen2.5-7b"], 8, "cuda", True, 2048, 256, 1280, engine="vllm", engine_share=0.4)
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


@pytest.mark.parametrize("rank", [None, 4])
@pytest.mark.parametrize(("half", "device"), [(False, "cpu"), (True, "cpu"), (True, "cuda")])
@pytest.mark.parametrize("kv_heads", [8, 2])
def test_activations_are_what_autograd_keeps(half, device, kv_heads, rank):
    """Bytes that a layer adds to the saved tensors, per token; parameters and their copies are counted elsewhere."""

    def saved(layers):
        model = qwen2(layers, kv_heads)
        if half and device == "cpu":
            use_float32_attention(model)
        policy = Policy(model, None, torch.device("cpu"), torch.bfloat16 if half else None)
        if rank is not None:
            policy = attach_lora(policy, LoraConfig(rank=rank))
        sizes = {p.shape for p in model.parameters()} | {p.shape[::-1] for p in model.parameters()}
        kept = {}

        def pack(tensor):
            if tensor.shape not in sizes:
                kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        ids = torch.randint(0, 300, (4, 100))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), policy.precision():
            hidden = policy.hidden(ids)
        assert hidden.requires_grad
        return sum(kept.values()) / ids.numel()

    measured = (saved(4) - saved(1)) / 3
    shape = ModelShape.of(qwen2(1, kv_heads).config)
    assert measured == pytest.approx(saved_per_token(shape, half=half, device=device, lora_rank=rank), rel=0.01)


# Ten tokens of width 4: queries 4 (two heads of 2), keys 2, feed-forward 8, vocabulary 16, two layers.
SMALL = ModelShape(hidden=4, layers=2, heads=2, kv_heads=1, head_dim=2, intermediate=8, vocabulary=16, tied=True)
LAYER = 16 + 8 + 8 + 16 + 3 * 32 + 2 * 4  # q, k, v, output, gate, up, down; norms
WEIGHTS = 2 * LAYER + 64 + 4
CPU = Setting(SMALL, 1, "cpu", False, micro_batch=10, rows=3, length=5)


def test_activations_by_hand():
    layer = 4 * (6 * 4 + 2 * 4 + 2 * 2 + 4 * 8)  # float32: 68 numbers a token
    assert saved_per_token(SMALL, half=False, device="cpu") == layer == 272
    assert activation_bytes(CPU) == 10 * (2 * 272 + 6 * 16)
    wide = replace(CPU, shape=replace(SMALL, intermediate=16))
    assert activation_bytes(wide) == 10 * (2 * (272 + 4 * 4 * 8) + 2 * 4 * 16 + 2 * 16)
    assert activation_bytes(replace(CPU, checkpointing=True)) == 10 * (2 * 16 + 272 + 3 * 16)
    # bfloat16: streams, queries, keys, values and the output of attention stay in float32 on a CPU, nothing else.
    assert saved_per_token(SMALL, half=True, device="cpu") == 4 * (16 + 8 + 4) + 2 * (5 * 4 + 4 + 32)
    assert saved_per_token(SMALL, half=True, device="cuda") == 4 * 16 + 2 * (20 + 8 + 4 + 32)
    # Rank 3: two streams fewer, and three numbers for each of seven matrices.
    assert saved_per_token(SMALL, half=False, device="cpu", lora_rank=3) == 272 - 2 * 16 + 4 * 21


def test_a_natural_gradient_has_vectors_and_distributions_and_no_moments():
    memory = memory_of(replace(CPU, natural_gradient=True, step_tokens=30, devices=2))
    assert memory.kept["weights"] == 4 * WEIGHTS  # whole on every device
    assert not {"optimizer", "gradients", "whole copies to sample from and save"} & set(memory.kept)
    assert memory.update["vectors of the solver"] == 7 * 4 * WEIGHTS
    assert memory.update["distributions"] == (30 + 4 * 10) * 16 * 4
    # Scores of attention grow with the length, and come to exceed the graph of an ordinary pass.
    long = replace(CPU, natural_gradient=True, length=1000)
    assert activation_bytes(long) == 10 * (2 * 272 + 5 * 2 * 1000 * 4)


def test_logits_that_are_gone_through_in_blocks_are_there_once_with_their_gradient():
    chunk, step = 4 * 2**25, 4 * 3 * 16  # of float32; the most that are held at once, and of three rows
    assert memory_of(replace(CPU, micro_batch=2**22)).update["logits"] == 2 * chunk
    assert memory_of(replace(CPU, micro_batch=2**22, reads_distributions=True)).update["logits"] == 5 * chunk
    capped = replace(CPU, micro_batch=2**22, shape=replace(SMALL, softcap=True))
    assert memory_of(capped).update["logits"] == 3 * chunk
    assert memory_of(replace(CPU, micro_batch=2**22, device="cuda")).update["logits"] == 4 * chunk
    assert [memory_of(replace(CPU, device=on)).generate["logits of a step"] for on in ("cpu", "cuda")] == [
        1.25 * step,
        5 * step,
    ]


@pytest.mark.parametrize(
    ("name", "more", "reads"),
    [
        ("grpo", {}, False),
        ("grpo", {"entropy_bonus": 0.01}, True),
        ("grpo", {"entropy_target": 0.3}, True),
        ("on_policy_distillation", {"teacher": "vocabulary"}, True),
        ("soft_q", {}, True),
    ],
)
def test_a_loss_reads_distributions_where_it_is_made_of_more_than_the_tokens_chosen(name, more, reads):
    objective = resolve_objective(name, more)
    setting = setting_of(recipe("grpo"), objective, SMALL, devices=1, device="cpu", device_bytes=0)
    assert setting.reads_distributions is reads


def test_gradients_are_there_while_the_policy_is_updated():
    several, one = replace(CPU, step_sequences=3), replace(CPU, step_sequences=2)  # of length 5, in micro-batches of 10
    assert memory_of(several).update["gradients"] == 4 * WEIGHTS
    assert memory_of(replace(several, lora_rank=1)).update["gradients"] == 4 * SMALL.adapters(1)
    assert memory_of(one).update["gradients beyond the activations"] == 0
    short = memory_of(replace(one, micro_batch=1, length=0))
    assert short.update["gradients beyond the activations"] == 4 * WEIGHTS - activation_bytes(
        replace(CPU, micro_batch=1)
    )
    assert memory_of(replace(CPU, critic=True)).kept["critic and its optimizer"] == 3 * 4 * WEIGHTS


def test_every_network_that_is_trained_has_a_whole_copy_on_every_rank():
    many = replace(CPU, devices=4, reference=True, critic=True)
    assert memory_of(many).kept["whole copies to sample from and save"] == 2 * 4 * WEIGHTS
    assert memory_of(many).kept["reference"] == WEIGHTS
    whole = memory_of(replace(many, natural_gradient=True)).kept
    assert (whole["weights"], whole["reference"]) == (4 * WEIGHTS, WEIGHTS)
    assert whole["whole copies to sample from and save"] == 4 * WEIGHTS  # the critic's
    assert memory_of(replace(many, step_sequences=9)).update["gradients"] == WEIGHTS


def test_holes_are_half_of_the_blocks_that_the_heap_serves():
    options = {"half": False, "checkpointing": False, "adapters": False}
    assert heap.holes(SMALL, 10, 1000, **options) == 500
    # Each of seven matrices with adapters leaves its own output: 4 + 2 + 2 + 4 + 8 + 8 + 4 numbers a token and layer.
    assert heap.holes(SMALL, 10, 1000, **options | {"adapters": True}) == 500 + 10 * 2 * 4 * 32
    # Between the two activations that stay: four of the feed-forward network's, and two streams.
    assert heap.holes(SMALL, 10, 1000, **options | {"checkpointing": True}) == 10 * 1 * (4 * 4 * 8 + 2 * 16)


def test_blocks_of_32_mb_leave_no_holes():
    options = {"half": False, "checkpointing": False, "adapters": False}
    tokens = 2 * 2**20  # of 16 bytes in a stream
    assert heap.holes(SMALL, tokens - 1, 1000, **options) == 500
    assert heap.holes(SMALL, tokens, 1000, **options) == 0
    # In bfloat16 the inputs of matrices are blocks of half that size.
    assert heap.holes(SMALL, tokens, 1000, **options | {"half": True}) == tokens * 2 * 24
    assert heap.holes(SMALL, 2 * tokens, 1000, **options | {"half": True}) == 0
    assert "holes in the heap" not in memory_of(replace(CPU, device="cuda")).update


def test_compiled_products_are_limited_by_their_cache():
    assert heap.compiled(3) == 15 * 2 * 258_560
    assert heap.compiled(1000) == 1024 * 2 * 258_560
    assert "compiled products" in memory_of(replace(CPU, half=True)).kept
    assert "compiled products" not in memory_of(replace(CPU, half=True, device="cuda")).kept


def test_what_a_recipe_says_of_a_rank():
    config = Config.model_validate(
        {
            "algorithm": "trpo",
            "model": {"scratch": {}},
            "data": {"task": "addition", "max_prompt_tokens": 16},
            "verifiers": [{"name": "math"}],
            "rollout": {"prompts_per_step": 6, "group_size": 4, "max_tokens": 100, "max_rows": 64},
            "train": {"steps": 1, "token_budget": 100_000},
        }
    )
    setting = setting_of(config, resolve_objective("trpo", {}), SMALL, devices=4, device="cpu", device_bytes=0)
    assert setting.natural_gradient
    assert (setting.step_sequences, setting.step_tokens) == (6, 6 * 100)  # 24 responses dealt to four ranks
    assert setting.micro_batch == 6 * 116
    assert setting.rows == 2 * 4  # two whole groups on the busiest rank


def test_what_is_replayed_is_learned_from_beside_what_is_sampled():
    settings = []
    for overrides in ((), ("replay={share: 0.5}",)):
        config = recipe("grpo", "train.token_budget=100000", *overrides)
        objective = resolve_objective("grpo", config.objective, config.sampled_by)
        settings.append(setting_of(config, objective, SMALL, devices=1, device="cpu", device_bytes=0))
    once, again = settings
    assert again.step_sequences == 2 * once.step_sequences
    assert again.micro_batch == 2 * once.micro_batch
    assert again.rows == once.rows


def test_twins_are_two_networks_more_and_their_targets_two():
    beside = memory_of(replace(CPU, twins=True, target=True)).kept
    assert beside["two critics and their optimizers"] == 2 * 3 * 4 * WEIGHTS
    assert beside["target network"] == 2 * 4 * WEIGHTS
    config = recipe("soft_q", "objective={action_values: twins, target_rate: 0.2}")
    objective = resolve_objective("soft_q", config.objective, config.sampled_by)
    assert setting_of(config, objective, SMALL, devices=1, device="cpu", device_bytes=0).twins
    assert work_of(config, objective, 10.0, 6.0).forwards == 10
    assert work_of(config, objective, 10.0, 6.0).updates == 3


def test_goals_of_values_take_passes_of_every_network():
    values = "objective={family: values, bootstrap: max, target_rate: 1.0, beta: 0}"
    for more, passes in (((), 4), (("objective.action_values=logits",), 2), (("replay={share: 0.5}",), 8)):
        config = recipe("grpo", values, *more)
        objective = resolve_objective("grpo", config.objective, config.sampled_by)
        assert work_of(config, objective, 10.0, 6.0).forwards == passes


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
    seven = replace(SEVEN, reference=True, step_sequences=100)
    one, many = memory_of(replace(seven, devices=1)), memory_of(seven)
    for part in ("weights", "optimizer", "reference"):
        assert many.kept[part] == pytest.approx(one.kept[part] / 8, abs=1)
    assert many.update["gradients"] == pytest.approx(one.update["gradients"] / 8, abs=1)
    assert many.kept["whole copies to sample from and save"] == one.kept["weights"]
    assert many.update["activations"] == one.update["activations"]
    assert memory_of(replace(SEVEN, checkpointing=True)).update["activations"] < many.update["activations"] / 5
    lora = memory_of(replace(SEVEN, lora_rank=16, reference=False))
    assert lora.kept["optimizer"] < many.kept["optimizer"] / 50


def test_sampling_and_updating_are_never_there_together():
    seven = replace(SEVEN, step_sequences=100)
    memory = memory_of(seven)
    both = sum(memory.generate.values()) + sum(memory.update.values())
    assert memory.peak < sum(memory.kept.values()) + both
    awake = memory_of(replace(seven, engine_sleeps=False))
    assert awake.peak == sum(memory.kept.values()) + both


def test_the_nearest_change_that_fits_does_fit():
    assert fits(SEVEN)
    assert fits(replace(SEVEN, reference=True))
    assert not fits(replace(SEVEN, critic=True))  # whose whole copy is one network too many
    assert changes_that_fit(replace(SEVEN, micro_batch=32768))[0].text == "train.token_budget=4096"
    assert not fits(replace(SEVEN, micro_batch=8192))  # so it is the mildest
    alone = replace(SEVEN, devices=1)
    assert not fits(alone)
    found = changes_that_fit(alone)
    assert found
    assert all(change.peak <= 0.95 * alone.device_bytes for change in found)
    assert any("--gpus=" in change.text for change in found)


def test_an_engine_without_room_does_not_fit():
    assert not fits(replace(SEVEN, engine_share=0.15))
    assert "memory_fraction" in changes_that_fit(replace(SEVEN, engine_share=0.15))[0].text


def test_a_model_of_reference_path_is_counted_by_its_own_shape():
    objective = resolve_objective("on_policy_distillation", {})
    config = recipe("on_policy_distillation")
    teacher = sum(p.numel() for p in make_policy(seed=7, hidden_size=48, intermediate_size=96).model.parameters())
    own = shape_of(config.model)
    half, head = "model.dtype=bfloat16", "model.head_dtype=float32"
    for overrides, width in (((), 4), ((half,), 2), ((half, head), None), (("model.lora={rank: 4}",), 4)):
        config = recipe("on_policy_distillation", *overrides)
        loaded = open_reference(config, objective, make_policy()).model
        width = width or sum(p.nbytes for p in loaded.parameters()) / teacher
        kept = memory_of(setting_of(config, objective, own, devices=1, device="cpu", device_bytes=0)).kept
        assert kept["model of reference.path"] == pytest.approx(width * teacher, rel=0.01)
        assert "reference" not in kept
    work = work_of(recipe("on_policy_distillation"), objective, 10.0, 6.0)
    assert work.forwards == pytest.approx(
        1.0 + teacher / own.parameters, rel=0.01
    )  # the policy's own, and the teacher's
