"""Memory of one device by part, from shapes alone.

The rule of activations counts what autograd keeps for the backward pass of one layer of a Llama-like model as transformers
computes it; `benchmarks/plan_memory.py` compares the whole with what runs really took.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grpo_kit.policy.logprobs import CHUNK_ELEMENTS

from .shape import ModelShape

if TYPE_CHECKING:
    from grpo_kit.config import Config
    from grpo_kit.objective.algorithms import Algorithm

MASTER = 4  # bytes of a weight, a gradient, and each of AdamW's two moments: all are kept in float32
GIB = 2**30
RUNTIME = {"cpu": 0.45, "cuda": 0.8}  # GiB: interpreter and libraries; context, kernels and collectives' buffers
LOGIT_COPIES = 4  # of one chunk of logits while its gradient is computed
# glibc keeps freed blocks of up to 32 MB between those in use; MALLOC_MMAP_THRESHOLD_=1048576 gives them back, for more CPU.
ALLOCATOR_SLACK = 0.3  # of the activations, on a CPU


@dataclass(frozen=True)
class Setting:
    """What the memory of a device depends on.

    Attributes:
        devices: the weights, gradients and moments of the policy are sharded over this many.
        half: matrix products run in bfloat16 (autocast).
        micro_batch: padded tokens that go through the model at once.
        rows, length: sequences decoded side by side, and tokens of the longest.
    """

    shape: ModelShape
    devices: int
    device: str
    half: bool
    micro_batch: int
    rows: int
    length: int
    checkpointing: bool = False
    lora_rank: int | None = None
    reference: bool = False
    critic: bool = False
    engine: str = "torch"
    engine_share: float = 0.0
    engine_sleeps: bool = True
    device_bytes: int = 0


@dataclass
class Memory:
    """Bytes by part. ``kept`` stays from start to end; of the phases only one is there at a time."""

    kept: dict[str, int] = field(default_factory=dict)
    generate: dict[str, int] = field(default_factory=dict)
    update: dict[str, int] = field(default_factory=dict)

    @property
    def peak(self) -> int:
        return sum(self.kept.values()) + max(sum(self.generate.values()), sum(self.update.values()))


def setting_of(
    config: Config, objective: Algorithm, shape: ModelShape, *, devices: int, device: str, device_bytes: int
) -> Setting:
    """Read a recipe. device: cpu or cuda."""
    rollout = config.rollout
    length = config.data.max_prompt_tokens + rollout.max_tokens
    from_one_prompt = (
        rollout.group_size if objective.data == "sampled" else 2 if objective.family != "policy_gradient" else 1
    )
    sampled = rollout.prompts_per_step * from_one_prompt
    per_update = -(-sampled // (config.train.updates_per_batch * devices)) * length
    return Setting(
        shape=shape,
        devices=devices,
        device=device,
        half=config.model.dtype == "bfloat16" or (config.model.dtype == "auto" and device == "cuda"),
        micro_batch=max(length, min(config.train.token_budget, per_update)),
        rows=min(max(rollout.max_rows, rollout.group_size), sampled),
        length=length,
        checkpointing=config.parallel.gradient_checkpointing,
        lora_rank=config.model.lora.rank if config.model.lora else None,
        reference=objective.needs_reference and config.model.lora is None,
        critic=objective.needs_critic,
        engine=rollout.engine if objective.data == "sampled" else "none",
        engine_share=rollout.vllm.memory_fraction,
        engine_sleeps=rollout.vllm.sleep,
        device_bytes=device_bytes,
    )


def memory_of(setting: Setting) -> Memory:
    """The parts that `grpo-kit plan` and ``--dry-run`` show."""
    memory = Memory(kept=_kept(setting), update=_update(setting), generate=_generate(setting))
    if setting.engine == "vllm" and setting.device == "cuda" and not setting.engine_sleeps:
        memory.kept |= memory.generate
        memory.generate = {}
    return memory


def _kept(s: Setting) -> dict[str, int]:
    whole = s.shape.parameters
    trained = whole if s.lora_rank is None else s.shape.adapters(s.lora_rank)
    shard = 1 / s.devices
    parts = {
        "runtime": int(RUNTIME[s.device] * GIB),
        "weights": int(whole * MASTER * shard),
        "optimizer": int(2 * trained * MASTER * shard),
    }
    if s.devices > 1:
        parts["whole copy to sample from and save"] = whole * MASTER
    if s.lora_rank is not None:
        parts["adapters"] = int(trained * MASTER * shard)
    if s.reference:
        parts["reference"] = int(whole * MASTER * shard)
    if s.critic:
        parts["critic and its optimizer"] = int(3 * whole * MASTER * shard)
    return parts


def _update(s: Setting) -> dict[str, int]:
    trained = s.shape.parameters if s.lora_rank is None else s.shape.adapters(s.lora_rank)
    parts = {
        "gradients": int(trained * MASTER / s.devices),
        "activations": activation_bytes(s),
        "logits": LOGIT_COPIES * 4 * min(s.micro_batch * s.shape.vocabulary, max(CHUNK_ELEMENTS, s.shape.vocabulary)),
    }
    if s.device == "cpu":
        parts["kept by the allocator"] = int(ALLOCATOR_SLACK * parts["activations"])
    if s.half:  # autocast keeps a copy of every weight until the pass is over; sharded, of the layers in flight
        layers = s.shape.layers if s.devices == 1 else 2
        parts["weights in bfloat16"] = 2 * (layers * s.shape.layer_parameters + s.shape.embedding)
    elif s.devices > 1:
        parts["gathered weights"] = MASTER * (2 * s.shape.layer_parameters + s.shape.embedding)
    return parts


def activation_bytes(s: Setting) -> int:
    """What one micro-batch keeps for the backward pass, and the working space of the layer it is in."""
    per_layer = _saved_per_token(s.shape, s.half)
    stream = 4 * s.shape.hidden  # the residual stream is float32
    kept = s.shape.layers * (stream if s.checkpointing else per_layer)
    working = per_layer if s.checkpointing else (2 if s.half else 4) * 3 * s.shape.intermediate
    return s.micro_batch * (kept + working + 3 * stream)


def _saved_per_token(shape: ModelShape, half: bool) -> int:
    """Bytes that autograd keeps of one token in one layer.

    Around attention and the feed-forward network: the stream, its normalised form, and the input of each matrix (under
    autocast each matrix keeps a copy of its own in bfloat16). Inside: rotated queries and keys, values, the output of
    attention; of the gated network the gate, its activation, the other branch and the product.
    """
    h, q, k, f = shape.hidden, shape.query, shape.key, shape.intermediate
    inner = (4 if shape.gate else 2) * f
    if half:
        return 4 * 4 * h + 2 * 5 * h + 2 * (2 * q + 2 * k) + 2 * inner
    return 4 * (6 * h + 2 * q + 2 * k + inner)


def _generate(s: Setting) -> dict[str, int]:
    if s.engine == "none" or s.engine == "vllm_server":
        return {}
    if s.engine == "vllm":
        if s.device == "cuda":
            return {"vLLM (weights and cache)": int(s.engine_share * s.device_bytes)}
        return {"vLLM weights": s.shape.parameters * MASTER, "vLLM cache": int(s.device_bytes * s.engine_share)}
    width = 2 if s.half else 4
    cache = 2 * s.shape.layers * s.shape.key * width
    return {
        "key-value cache, at most": s.rows * s.length * cache,
        "logits of a step": 5 * 4 * s.rows * s.shape.vocabulary,
    }
