"""How long the parts of a step take, from a model's shape and a device's rates.

Training is bound by arithmetic, decoding by reading memory, moving weights by the link. The constants below say which share
of the data sheet is assumed; `grpo-kit plan` prints them, and `--mfu` replaces the most important one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from grpo_kit.errors import UserError

from .shape import ModelShape

TRAIN_MFU = 0.40  # share of the peak rate that forward and backward reach
PREFILL_MFU = 0.50
READ_SHARE = 0.70  # share of the memory bandwidth that decoding reaches
DECODE_OVERHEAD = 0.002  # seconds of a decoding step that are neither reading nor arithmetic
LINK = 20e9  # bytes a second from the trainer to an engine


@dataclass(frozen=True, slots=True)
class Device:
    """memory in bytes, flops of dense bfloat16 a second, bandwidth in bytes a second; from the maker's data sheet."""

    name: str
    memory: int
    flops: float
    bandwidth: float


DEVICES = {
    device.name: device
    for device in (
        Device("l4", 24 * 2**30, 121e12, 300e9),
        Device("rtx4090", 24 * 2**30, 165e12, 1008e9),
        Device("a100-40gb", 40 * 2**30, 312e12, 1555e9),
        Device("l40s", 48 * 2**30, 362e12, 864e9),
        Device("a100", 80 * 2**30, 312e12, 2039e9),
        Device("h100", 80 * 2**30, 989e12, 3350e9),
        Device("h200", 141 * 2**30, 989e12, 4800e9),
        Device("b200", 180 * 2**30, 2250e12, 8000e9),
    )
}
BY_MEMORY = {24: "rtx4090", 40: "a100-40gb", 48: "l40s", 80: "h100", 141: "h200", 180: "b200"}


def parse_gpus(text: str) -> tuple[int, Device]:
    """``8x80GB`` or ``8xh100`` -> how many, and of which kind. Raises UserError."""
    found = re.fullmatch(r"(\d+)\s*x\s*(?:(\d+)\s*GB|([\w-]+))", text.strip(), re.IGNORECASE)
    if not found or int(found[1]) < 1:
        raise UserError(f"--gpus: {text!r} is not of the form 8x80GB or 8xh100; kinds: {', '.join(DEVICES)}")
    count, size, name = int(found[1]), found[2], (found[3] or "").lower()
    if name:
        if name not in DEVICES:
            raise UserError(f"--gpus: there is no device {name!r}; there are {', '.join(DEVICES)}")
        return count, DEVICES[name]
    nearest = min(BY_MEMORY, key=lambda known: abs(known - int(size)))
    return count, replace(DEVICES[BY_MEMORY[nearest]], memory=int(size) * 2**30)


@dataclass(frozen=True, slots=True)
class Work:
    """One step: ``sequences`` completions, and how often their tokens go through which network.

    Attributes:
        forwards: passes without gradient over every token (reference, old policy), in passes of the policy.
        updates: passes with gradient (epochs); critic adds its own.
        inserted_tokens: that an environment writes into each; they pass through the layers and get no logits.
    """

    prompts: int
    sequences: int
    prompt_tokens: float
    completion_tokens: float
    forwards: float
    updates: float
    checkpointing: bool
    inserted_tokens: float = 0.0

    @property
    def context(self) -> float:
        """Tokens of a sequence, those included that nobody sampled."""
        return self.prompt_tokens + self.completion_tokens + self.inserted_tokens


def flops_per_token(shape: ModelShape, context: float) -> float:
    """Of one forward pass: two for each weight that is multiplied, and attention over half of the context on average."""
    matrices = shape.layers * sum(i * o for i, o in shape.linears) + shape.embedding
    return 2 * matrices + 2 * 2 * shape.layers * shape.query * context / 2


@dataclass(frozen=True, slots=True)
class Costs:
    """Rates of one device for one model; all times in seconds."""

    shape: ModelShape
    device: Device
    mfu: float = TRAIN_MFU

    def update(self, work: Work, devices: int) -> float:
        """Forward, backward and the passes beside them, shared by ``devices``."""
        context = work.context
        tokens = work.sequences * context
        passes = work.forwards + work.updates * (4 if work.checkpointing else 3)
        return tokens * passes * flops_per_token(self.shape, context) / (devices * self.device.flops * self.mfu)

    def decode_step(self, running: float, context: float) -> float:
        """One token for each of ``running`` sequences on one device: weights and caches are read once."""
        if running <= 0:
            return 0.0
        cache = 2 * 2 * self.shape.layers * self.shape.key * context
        reading = (2 * self.shape.parameters + running * cache) / (self.device.bandwidth * READ_SHARE)
        arithmetic = running * flops_per_token(self.shape, context) / (self.device.flops * PREFILL_MFU)
        return DECODE_OVERHEAD + max(reading, arithmetic)

    def prefill(self, work: Work, devices: int) -> float:
        """Each prompt once, whatever the group size, and what is inserted into each sequence."""
        tokens = work.prompts * work.prompt_tokens + work.sequences * work.inserted_tokens
        each = flops_per_token(self.shape, work.prompt_tokens)
        return tokens * each / (devices * self.device.flops * PREFILL_MFU)

    def sync(self) -> float:
        """The weights once over the link, in bfloat16; broadcasts to more engines are pipelined."""
        return 2 * self.shape.parameters / LINK

    def slots(self, share: float, context: float) -> int:
        """Sequences whose caches fit into ``share`` of the device beside the weights."""
        room = share * self.device.memory - 2 * self.shape.parameters
        return int(max(0.0, room) / (2 * 2 * self.shape.layers * self.shape.key * context))
