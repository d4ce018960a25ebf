"""The longest micro-batch that a run may have, tried before anything is sampled: what does not fit ends in seconds."""

from __future__ import annotations

import torch

from grpo_kit.config import Config
from grpo_kit.errors import UserError
from grpo_kit.objective.rows import Algorithm
from grpo_kit.plan.memory import GIB, MASTER, Setting, memory_of, setting_of
from grpo_kit.plan.shape import ModelShape
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import TrainingSequence, micro_batches
from grpo_kit.runtime import ranks

# Of what a plan says is kept, what is there already while this is tried.
PRESENT = ("runtime", "weights", "adapters", "whole copies to sample from and save")


def try_longest(policy: Policy, config: Config, objective: Algorithm) -> None:
    """Pass a micro-batch of full length forwards and backwards, with room held for what a run will keep beside it.

    Nothing is moved, and no random number is drawn. Every rank must ask.

    Raises:
        UserError: the device has not that much memory; with the keys to turn.
    """
    device = policy.device
    total = int(torch.cuda.get_device_properties(device).total_memory) if device.type == "cuda" else 0
    setting = setting_of(
        config,
        objective,
        ModelShape.of(policy.model.config),
        devices=ranks.world_size(),
        device=device.type,
        device_bytes=total,
    )
    kept = memory_of(setting).kept
    room = {name: size for name, size in kept.items() if name not in PRESENT}
    training = policy.model.training
    policy.model.train()
    try:
        held = [torch.empty(size, dtype=torch.uint8, device=device) for size in room.values()]
        for _ in range(1 + setting.several_batches):  # the second one finds the gradients of the first
            _pass(policy, config, objective, setting)
        del held
    except torch.OutOfMemoryError as error:
        raise UserError(_too_much(config, setting, room, total)) from error
    finally:
        policy.model.zero_grad(set_to_none=True)
        policy.model.train(training)
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _pass(policy: Policy, config: Config, objective: Algorithm, setting: Setting) -> None:
    length = config.rollout.max_tokens + config.inserted
    sequence = TrainingSequence([0] * (setting.length - length), [0] * length, 0.0, 1.0)
    sequences = [sequence] * max(1, setting.micro_batch // setting.length)
    dtype = next(policy.model.parameters()).dtype
    for batch in micro_batches(sequences, setting.micro_batch, policy.device, dtype):
        logprobs, entropies = policy.logprobs(batch, config.rollout.temperature, objective.uses_entropy)
        (logprobs.sum() + entropies.sum()).backward()


def _too_much(config: Config, setting: Setting, room: dict[str, int], total: int) -> str:
    tokens, length = setting.micro_batch, setting.length
    ways = [f"train.token_budget={max(length, tokens // 2)}"] if tokens > length else []
    if not setting.checkpointing:
        ways.append("parallel.gradient_checkpointing=true")
    if ranks.world_size() == 1 and config.optimizer.moments == "float32":
        ways.append("optimizer.moments=8bit")
    averages = setting.lora_rank is None and setting.target  # rounded away in bfloat16 (narrow.py)
    if ranks.world_size() == 1 and setting.half and setting.matrix == MASTER and not averages:
        key = "model.weight_dtype" if setting.lora_rank is None else "model.lora.base_dtype"
        ways.append(f"{key}=bfloat16")
    if setting.lora_rank is None and not setting.twins:
        ways.append("model.lora.rank=16")
    beside = ", ".join(f"{name} {size / GIB:.1f}" for name, size in room.items() if size)
    beside = f" and, in GiB, {beside}" if beside else ""
    return (
        f"train.token_budget: a micro-batch of {tokens} tokens, in sequences of {length}, does not fit into the "
        f"{total / GIB:.1f} GiB of {setting.device} beside the weights{beside}. Nothing was sampled yet. "
        f"Set {', or '.join(ways) or 'rollout.max_tokens lower'}; `grpo-kit plan` says what takes how much"
    )
