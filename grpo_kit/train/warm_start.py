"""Supervised fine-tuning on demonstrations: the warm start that gives reinforcement learning something to reinforce."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from grpo_kit.config import Config, WarmStartConfig
from grpo_kit.data.chat import end_of_turn_id, render
from grpo_kit.data.datasets import demonstrated_source
from grpo_kit.data.mixture import MixedProblems
from grpo_kit.data.problem import Problem
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.environments.opening import Setting
from grpo_kit.errors import RunFailed
from grpo_kit.observe.clock import Clock
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.measure import read
from grpo_kit.policy.dealing import rank_batches
from grpo_kit.policy.distributed import clip_gradients
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.runtime import ranks
from grpo_kit.types import Message, Task

from .checkpoint import save_model
from .steps import build_optimizer


def start_warm(
    policy: Policy, config: Config, folder: Path, console: RunConsole, clock: Clock, setting: Setting | None = None
) -> None:
    """Give ``policy`` the weights of the recipe's warm start, if any: those in the run's folder, or made and written there."""
    made = folder / "warm_start"
    if made.is_dir():
        policy.load_weights(made)
        return
    if config.warm_start is None:
        return
    source = demonstrated_source(config)
    with console.stage("warm start", config.warm_start.steps) as bar:

        def report(step: int, loss: float) -> None:
            bar.advance(step, {"loss": f"{loss:.3f}"})
            clock.touch()

        budget = config.train.token_budget
        warm_start(policy, source, config.warm_start, token_budget=budget, report=report, setting=setting)
    whole = policy.whole()
    if ranks.first():
        save_model(whole, made)


def demonstrations(
    source: ProceduralSource | MixedProblems,
    tokenizer: Any,
    start: int,
    count: int,
    mistakes: float = 0.0,
    setting: Setting | None = None,
) -> list[TrainingSequence]:
    """Worked solutions of problems ``start .. start + count``, each token weighted equally over the batch.

    A share of ``mistakes`` of them, chosen by index, contains a slip.

    Args:
        setting: the environment that answers; without one a demonstration is its last turn.
    """
    sequences = []
    for index in range(start, start + count):
        slip = random.Random(f"mistake/{index}").random() < mistakes
        sequences.append(_demonstration(source.task(index), source.problem(index, slip), tokenizer, setting))
    total = sum(len(s.completion_ids) for s in sequences)
    for sequence in sequences:
        sequence.weight = 1.0 / total
    return sequences


def _demonstration(task: Task, problem: Problem, tokenizer: Any, setting: Setting | None) -> TrainingSequence:
    """A problem's worked solution, turn after turn where an environment answers."""
    end = end_of_turn_id(tokenizer)

    def written(text: str) -> list[int]:
        return [*tokenizer.encode(text, add_special_tokens=False), end]

    if setting is None:
        return TrainingSequence(render(task, tokenizer).token_ids, written(problem.demonstration), 1.0, 0.0)
    role = "tool" if setting.environment.tools else "user"
    completion: list[int] = []
    inserted = []
    for text, reply in problem.turns:
        turn = written(setting.spelt(text))
        completion += turn
        messages = setting.bridge.read([Message(role=role, content=reply)])
        inserted.append((len(completion), setting.bridge.after(turn, messages)))
    prompt = setting.bridge.prompt(setting.introduced(task)).token_ids
    completion += written(problem.demonstration)
    return TrainingSequence(prompt, completion, 1.0, 0.0, inserted=inserted)


def warm_start(
    policy: Policy,
    source: ProceduralSource | MixedProblems,
    config: WarmStartConfig,
    *,
    token_budget: int,
    report: Callable[[int, float], None],
    setting: Setting | None = None,
) -> float:
    """Minimise the mean negative log-likelihood of demonstrations; returns the last loss in nats per token."""
    optimizer, scheduler = build_optimizer(policy.model, config.optimizer, config.steps)
    policy.model.train()
    total = float("nan")
    for step in range(config.steps):
        first, size = step * config.batch_size, config.batch_size
        batch = demonstrations(source, policy.tokenizer, first, size, config.mistakes, setting)
        losses: list[Tensor] = []
        for micro in rank_batches(batch, token_budget, policy.device, policy.model):
            logprobs, _ = policy.logprobs(micro, temperature=1.0, entropy_gradient=False)
            loss = -(logprobs * micro.weights).sum()
            loss.backward()
            losses.append(loss.detach())
        (total,) = ranks.all_reduce_sum([sum(read(losses))], "adding up the loss of the warm start")
        if total != total:
            raise RunFailed(
                f"the warm start's loss is not a number at step {step}; lower warm_start.optimizer.learning_rate"
            )
        clip_gradients(policy.model.parameters(), config.optimizer.max_grad_norm)
        optimizer.step()
        scheduler.step()
        policy.model.zero_grad(set_to_none=True)
        report(step + 1, total)
    return total
