"""Memory of one device by part, from shapes alone.

The rule of activations counts what autograd keeps for the backward pass of one layer of a Llama-like model as transformers
computes it; `benchmarks/plan_memory.py` compares the whole with what runs really took.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from grpo_kit.policy import four_bit
from grpo_kit.policy.eight_bit import BLOCK
from grpo_kit.policy.logprobs import CHUNK_ELEMENTS

from . import heap
from .shape import ModelShape
from .shapes import reference_shape

if TYPE_CHECKING:
    from grpo_kit.config import Config, OptimizerConfig
    from grpo_kit.objective.rows import Algorithm

MASTER = 4  # bytes of a weight, a gradient, and each of AdamW's two moments in float32
GIB = 2**30
MATRIX = {"float32": MASTER, "bfloat16": 2, "nf4": four_bit.BYTES}
RUNTIME = {"cpu": 0.45, "cuda": 0.8}  # GiB: interpreter and libraries; context, kernels and collectives' buffers
# Of one chunk of logits while its gradient is computed: of the natural gradient and on a GPU; where the loss reads distributions;
# gone through in blocks (policy/lookup.py), itself and its gradient; and what a softcap adds to that.
LOGIT_COPIES = 4
READ_COPIES = 5
BLOCKED_COPIES = 2
SOFTCAP_COPIES = 1
SAMPLED_COPIES = {"cpu": 1.25, "cuda": 5}  # of a step's logits until the next tokens are drawn; in blocks on a CPU
# Of TRPO, while a product is made: the gradient, what is solved for, solution, residual, direction, the product, and its part
# from the present micro-batch.
SOLVER_VECTORS = 7
SCORE_COPIES = (
    5  # of one layer's attention scores in a forward derivative: scores and weights, their derivatives, a sum
)


@dataclass(frozen=True)
class Setting:
    """What the memory of a device depends on.

    Attributes:
        devices: the weights, gradients and moments of the policy are sharded over this many.
        half: matrix products run in bfloat16 (autocast).
        micro_batch: padded tokens that go through the model at once.
        rows, length: sequences decoded side by side, and tokens of the longest.
        matrix: bytes of a number in the layers' matrices: frozen ones below adapters, or trained ones, and of their gradients.
        moments, critic_moments: bytes of the optimizer's state on the device for each trained number.
        reference_away: in the host's memory while it computes nothing.
        other: bytes of the model of ``reference.path``, which is there in place of a copy of the policy.
        twins: two networks of action values are trained beside it.
        reads_distributions: the loss is made of more than the log-probabilities of the tokens that were chosen.
        natural_gradient: TRPO's step: every device holds the whole network, and no moments.
        step_sequences, step_tokens: responses that one device learns from in an optimizer step, and their tokens.
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
    matrix: float = MASTER
    moments: float = 2 * MASTER
    critic_moments: float = 2 * MASTER
    reference: bool = False
    reference_away: bool = False
    other: int = 0
    critic: bool = False
    twins: bool = False
    target: bool = False
    reads_distributions: bool = False
    natural_gradient: bool = False
    step_sequences: int = 1
    step_tokens: int = 0
    engine: str = "torch"
    engine_share: float = 0.0
    engine_sleeps: bool = True
    fewest_rows: int = 1
    device_bytes: int = 0

    @property
    def spread(self) -> int:
        """How many devices share the weights, gradients and moments of the policy."""
        return 1 if self.natural_gradient else self.devices

    @property
    def several_batches(self) -> bool:
        """Whether an optimizer step adds up gradients of more than one micro-batch."""
        return self.step_sequences * self.length > self.micro_batch


@dataclass
class Memory:
    """Bytes by part. ``kept`` stays from step to step; of the phases only one is there at a time."""

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
    length = config.longest_prompt + rollout.max_tokens + config.inserted
    from_one_prompt = rollout.group_size if not objective.recorded else 2 if objective.learns_preferences else 1
    learned = config.groups_learned * from_one_prompt
    other, lora = reference_shape(config, objective), config.model.lora
    half = config.model.dtype == "bfloat16" or (config.model.dtype == "auto" and device == "cuda")
    per_update = -(-learned // (config.train.updates_per_batch * devices))
    return Setting(
        shape=shape,
        devices=devices,
        device=device,
        half=half,
        micro_batch=max(length, min(config.train.token_budget, per_update * length)),
        rows=min(max(rollout.max_rows, rollout.group_size), -(-rollout.prompts_per_step // devices) * from_one_prompt),
        length=length,
        checkpointing=config.parallel.gradient_checkpointing,
        lora_rank=lora.rank if lora else None,
        matrix=MATRIX[lora.base_dtype if lora else config.model.weight_dtype],
        moments=_moments(config.optimizer, device),
        critic_moments=_moments(config.critic.optimizer, device),
        reference_away=config.reference.offload and device != "cpu",
        reference=objective.needs_reference and lora is None and other is None,
        other=0 if other is None else _frozen(other, half, config.model.head_dtype == "float32"),
        critic=objective.needs_critic,
        twins=objective.learns_twins,
        target=objective.keeps_target,
        reads_distributions=objective.uses_entropy or objective.teaches_distributions or objective.learns_values,
        natural_gradient=objective.natural_gradient,
        step_sequences=per_update,
        step_tokens=per_update * rollout.max_tokens,
        engine="none" if objective.recorded else rollout.engine,
        engine_share=rollout.vllm.memory_fraction,
        engine_sleeps=rollout.vllm.sleep,
        fewest_rows=rollout.group_size,
        device_bytes=device_bytes,
    )


def _moments(optimizer: OptimizerConfig, device: str) -> float:
    """Bytes on the device for each number that is trained."""
    if optimizer.offload and device != "cpu":
        return 0.0
    return 2.0 * (1 + 4 / BLOCK) if optimizer.moments == "8bit" else 2.0 * MASTER


def _frozen(shape: ModelShape, half: bool, full_head: bool) -> int:
    """Bytes of a model that nothing is added to; with a head of float32 only its layers are halved."""
    layers = shape.layers * shape.layer_parameters
    return MASTER * shape.parameters - (MASTER - 2) * half * (layers if full_head else shape.parameters)


def memory_of(setting: Setting) -> Memory:
    """The parts that `grpo-kit plan` and ``--dry-run`` show."""
    memory = Memory(_kept(setting), _sampling(setting), _update(setting))
    if setting.engine == "vllm" and setting.device == "cuda" and not setting.engine_sleeps:
        memory.kept |= memory.generate
        memory.generate = {}
    return memory


def _gradients(s: Setting, activations: int) -> dict[str, int]:
    """They are there from the first backward pass of an optimizer step until the weights have moved.

    The first micro-batch finds none, and its gradients come as its activations go.
    """
    size = int(_trained(s) * MASTER - (s.lora_rank is None) * _spared(s)) // s.spread
    if s.several_batches:
        return {"gradients": size}
    return {"gradients beyond the activations": max(0, size - activations)}


def _trained(s: Setting) -> int:
    return s.shape.parameters if s.lora_rank is None else s.shape.adapters(s.lora_rank)


def _kept(s: Setting) -> dict[str, int]:
    trained, spread = _trained(s), s.spread
    whole = s.shape.parameters * MASTER - _spared(s)
    beside = s.shape.parameters * MASTER - (s.lora_rank is None) * _spared(s)  # beside adapters a network is of float32
    parts = {"runtime": int(RUNTIME[s.device] * GIB), "weights": int(whole / spread)}
    if s.lora_rank is not None:
        parts["adapters"] = int(trained * MASTER / spread)
    if not s.natural_gradient:
        parts["optimizer"] = int(trained * s.moments / spread)
    if s.half and s.device == "cpu" and s.engine == "torch":
        parts["compiled products"] = heap.compiled(s.rows)
    if not s.reference_away:
        parts |= _reference(s)
    if s.critic:
        parts["critic and its optimizer"] = int((beside + s.shape.parameters * s.critic_moments) / s.devices)
    if s.twins:
        parts["two critics and their optimizers"] = int(2 * (whole + s.shape.parameters * s.critic_moments))
    if s.target:
        of_policy = s.lora_rank is None and not s.twins  # of adapters a copy is next to nothing
        copied = of_policy / spread + s.critic / s.devices + 2 * s.twins
        parts["target network"] = int(copied * beside)
    if spread > 1 or (s.critic and s.devices > 1):
        parts["whole copies to sample from and save"] = int(((spread > 1) + s.critic) * whole)
    return parts


def _matrices(s: Setting) -> int:
    """Numbers in the matrices of the layers."""
    return s.shape.layers * sum(i * o for i, o in s.shape.linears)


def _spared(s: Setting) -> float:
    """Bytes that matrices of fewer than four a number spare."""
    return (MASTER - s.matrix) * _matrices(s)


def _reference(s: Setting) -> dict[str, int]:
    """The frozen network that is compared with, a device's part of it."""
    parts = {}
    if s.reference:
        parts["reference"] = int((s.shape.parameters * MASTER - _spared(s)) / s.devices)
    if s.other:
        parts["model of reference.path"] = int(s.other / s.devices)
    return parts


def _update(s: Setting) -> dict[str, int]:
    parts = {"activations": activation_bytes(s)}
    if s.natural_gradient:
        distributions = (s.step_tokens + LOGIT_COPIES * s.micro_batch) * s.shape.vocabulary * MASTER
        parts |= {"vectors of the solver": SOLVER_VECTORS * _trained(s) * MASTER, "distributions": distributions}
    else:
        chunk = min(s.micro_batch * s.shape.vocabulary, max(CHUNK_ELEMENTS, s.shape.vocabulary))
        parts |= {"logits": _logit_copies(s) * MASTER * chunk, **_gradients(s, parts["activations"])}
    if s.reference_away:  # it computes before there are activations or gradients
        there = sum(size for name, size in parts.items() if "gradients" in name or name == "activations")
        parts["reference beyond the activations"] = max(0, sum(_reference(s).values()) - there)
    if s.device == "cpu":
        parts["holes in the heap"] = heap.holes(
            s.shape,
            s.micro_batch,
            parts["activations"],
            half=s.half,
            checkpointing=s.checkpointing,
            adapters=s.lora_rank is not None,
        )
    if s.half:  # autocast keeps a copy of every weight until the pass is over; sharded, of the layers in flight
        layers = s.shape.layers if s.spread == 1 else 2
        narrow = _matrices(s) if s.matrix < MASTER else 0
        parts["weights in bfloat16"] = 2 * (layers * s.shape.layer_parameters + s.shape.embedding - narrow)
    elif s.spread > 1:
        parts["gathered weights"] = MASTER * (2 * s.shape.layer_parameters + s.shape.embedding)
    return parts


def activation_bytes(s: Setting) -> int:
    """What one micro-batch keeps for the backward pass, and what is there beside it where that begins."""
    per_layer = saved_per_token(s.shape, half=s.half, device=s.device, lora_rank=s.lora_rank)
    stream = MASTER * s.shape.hidden  # the residual stream is float32
    if s.checkpointing:
        backward = (s.shape.layers + 3) * stream + per_layer
    else:
        # The most is held in the last norm (its input, two forms of it, and a gradient of each) or in the last layer's
        # product of two branches, whose gradients are made before the branches go.
        branches = 2 * (2 if s.half else MASTER) * s.shape.intermediate + 2 * stream
        backward = s.shape.layers * per_layer + max(6 * stream, branches)
    if s.natural_gradient:  # forwards along a vector nothing is kept, but attention makes its scores
        scores = SCORE_COPIES * s.shape.heads * s.length * MASTER
        backward = max(backward, 2 * per_layer + scores)
    return s.micro_batch * backward


def saved_per_token(shape: ModelShape, *, half: bool, device: str, lora_rank: int | None = None) -> int:
    """Bytes that autograd keeps of one token in one layer.

    Around attention and the feed-forward network: the stream, its normalised form, and the input of each matrix (under
    autocast each matrix keeps a copy of its own in bfloat16). Inside: rotated queries and keys, values, the output of
    attention; of the gated network the gate, its activation, the other branch and the product. On a CPU attention is in
    float32 beside bfloat16 matrices (`policy.attention`). With adapters the norms are frozen, so the normalised streams
    before their weights are not kept, and the narrow middle of each pair of adapters is.
    """
    h, q, k = shape.hidden, shape.query, shape.key
    inner = (4 if shape.gate else 2) * shape.intermediate
    streams = 4 if lora_rank is None else 2
    width = 2 if half else MASTER
    narrow = width * (lora_rank or 0) * len(shape.linears)
    if not half:
        return MASTER * ((streams + 2) * h + 2 * q + 2 * k + inner) + narrow
    if device == "cpu":
        return MASTER * (streams * h + 2 * q + 2 * k) + 2 * (5 * h + q + inner) + narrow
    outputs = 2 if lora_rank is None else 3  # of attention: adapters keep it in their own layout as well
    return MASTER * streams * h + 2 * (5 * h + outputs * q + 2 * k + inner) + narrow


def _logit_copies(s: Setting) -> int:
    if s.reads_distributions:
        return READ_COPIES
    if s.device != "cpu":
        return LOGIT_COPIES
    return BLOCKED_COPIES + SOFTCAP_COPIES * s.shape.softcap


def _sampling(s: Setting) -> dict[str, int]:
    if s.engine == "none" or s.engine == "vllm_server":
        return {}
    if s.engine == "vllm":
        if s.device == "cuda":
            return {"vLLM (weights and cache)": int(s.engine_share * s.device_bytes)}
        return {"vLLM weights": s.shape.parameters * MASTER, "vLLM cache": int(s.device_bytes * s.engine_share)}
    width, shape = 2 if s.half else MASTER, s.shape
    # Query, key and value are joined into one matrix, gate and up into another; in bfloat16, or with adapters, all are copied.
    joined = shape.hidden * (shape.query + 2 * shape.key + (2 if shape.gate else 1) * shape.intermediate)
    if s.half or s.lora_rank is not None:
        joined = sum(i * o for i, o in shape.linears)
    if s.matrix == four_bit.BYTES:  # decoded by the model's own forward
        joined = 0
    return {
        "key-value cache, at most": s.rows * s.length * 2 * shape.layers * shape.key * width,
        "logits of a step": int(SAMPLED_COPIES[s.device] * MASTER * s.rows * shape.vocabulary),
        "weights joined for decoding": width * shape.layers * joined,
    }


def machine_memory(device: str = "auto") -> int:
    """Bytes of the first GPU, or of this machine where it has none or ``device`` is cpu."""
    if device != "cpu" and torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
