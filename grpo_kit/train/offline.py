"""Supervised fine-tuning on demonstrations: the warm start that gives reinforcement learning something to reinforce."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from torch import Tensor

from grpo_kit.config import WarmStartConfig
from grpo_kit.data.chat import end_of_turn_id, render
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.errors import RunFailed
from grpo_kit.observe.measure import read
from grpo_kit.policy.dealing import rank_batches
from grpo_kit.policy.distributed import clip_gradients
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.runtime import ranks

from .steps import build_optimizer


def demonstrations(
    source: ProceduralSource, tokenizer: Any, start: int, count: int, mistakes: float = 0.0
) -> list[TrainingSequence]:
    """Worked solutions of problems ``start .. start + count``, each token weighted equally over the batch.

    A share of ``mistakes`` of them, chosen by index, contains a slip.
    """
    sequences, end = [], end_of_turn_id(tokenizer)
    for index in range(start, start + count):
        slip = random.Random(f"mistake/{index}").random() < mistakes
        task, problem = source.task(index), source.problem(index, slip)
        completion = [*tokenizer.encode(problem.demonstration, add_special_tokens=False), end]
        sequences.append(TrainingSequence(render(task, tokenizer).token_ids, completion, 1.0, 0.0))
    total = sum(len(s.completion_ids) for s in sequences)
    for sequence in sequences:
        sequence.weight = 1.0 / total
    return sequences


def warm_start(
    policy: Policy,
    source: ProceduralSource,
    config: WarmStartConfig,
    *,
    token_budget: int,
    report: Callable[[int, float], None],
) -> float:
    """Minimise the mean negative log-likelihood of demonstrations; returns the last loss in nats per token."""
    optimizer, scheduler = build_optimizer(policy.model, config.optimizer, config.steps)
    policy.model.train()
    total = float("nan")
    for step in range(config.steps):
        batch = demonstrations(source, policy.tokenizer, step * config.batch_size, config.batch_size, config.mistakes)
        losses: list[Tensor] = []
        for micro in rank_batches(batch, token_budget, policy.device, policy.model):
            logprobs, _ = policy.logprobs(micro, temperature=1.0, entropy_gradient=False)
            loss = -(logprobs * micro.weights).sum()
            loss.backward()
            losses.append(loss.detach())
        (total,) = ranks.total([sum(read(losses))], "adding up the loss of the warm start")
        if total != total:
            raise RunFailed(
                f"the warm start's loss is not a number at step {step}; lower warm_start.optimizer.learning_rate"
            )
        clip_gradients(policy.model.parameters(), config.optimizer.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        report(step + 1, total)
    return total
