"""Everything that can be known to be wrong before the expensive work starts, and what the run will cost."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from grpo_kit.config import Config
from grpo_kit.data.chat import render_text
from grpo_kit.data.datasets import TaskSource, evaluation_tasks, training_source
from grpo_kit.data.records import open_records
from grpo_kit.data.sampler import TaskSampler
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.errors import UserError
from grpo_kit.evaluate.judge import Judge, find_judge
from grpo_kit.generate.engines import check_engine
from grpo_kit.objective.algorithms import Algorithm, resolve_objective
from grpo_kit.objective.compatibility import refusals
from grpo_kit.plan.memory import Memory, memory_of, setting_of
from grpo_kit.plan.shape import ModelShape
from grpo_kit.policy.models import check_weights, model_skeleton, pick_device
from grpo_kit.types import Completion, Group, Prompt, Score, Task

GOLD_ROWS_CHECKED = 512
BYTES = 4  # float32 weights, gradients and optimizer state


@dataclass
class Plan:
    """What a run will do and need."""

    objective: Algorithm
    device: str
    parameters: int
    optimizer_steps: int
    completions: int
    most_tokens: int
    memory: Memory
    disk: int
    prompts: list[str]
    gold: list[tuple[str, str, Score]]  # task id, gold response, score
    gold_checked: int
    gold_rejected: list[str]
    skipped_long: int


def preflight(config: Config, run_path: Path | None) -> Plan:
    """Check a recipe against the machine, its data and its verifiers, and plan the run. Takes seconds.

    Raises:
        UserError: with what is wrong and how to mend it; nothing has been written.
    """
    objective = resolve_objective(config.algorithm, config.objective_overrides())
    _check_objective(config, objective)
    device = pick_device(config.device)
    check_engine(config, device.type)
    skeleton, tokenizer = model_skeleton(config.model)
    if config.model.path is not None:
        check_weights(config.model.path)
    _check_context(config, skeleton.config)
    source = training_source(config)
    sampler = TaskSampler(source, tokenizer, seed=config.seed, max_prompt_tokens=config.data.max_prompt_tokens)
    first = sampler.next(max(2, config.rollout.prompts_per_step))
    if config.evaluation:
        evaluation_tasks(config)
    if config.examples:
        open_records(config, tokenizer, pairs=objective.family != "policy_gradient").next(1, 1)
    judge = find_judge(config, source)
    gold = _check_gold(config, source, [task for task, _ in first], judge)
    parameters = sum(p.numel() for p in skeleton.parameters())
    samples = config.rollout.group_size if objective.data == "sampled" else 1
    completions = config.rollout.prompts_per_step * samples * config.train.steps
    disk = _disk_needed(config, parameters)
    if run_path is not None:
        _check_space(run_path, disk)
    return Plan(
        objective=objective,
        device=str(device),
        parameters=parameters,
        optimizer_steps=config.train.steps * config.train.updates_per_batch * config.train.epochs_per_batch,
        completions=completions,
        most_tokens=completions * config.rollout.max_tokens,
        memory=memory_of(
            setting_of(
                config,
                objective,
                ModelShape.of(skeleton.config),
                devices=1,
                device=device.type,
                device_bytes=machine_memory(),
            )
        ),
        disk=disk,
        prompts=[render_text(task, tokenizer) for task, _ in first[:2]],
        gold=gold.shown,
        gold_checked=gold.checked,
        gold_rejected=gold.rejected,
        skipped_long=sampler.skipped_long,
    )


def _check_objective(config: Config, objective: Algorithm) -> None:
    train = config.train
    updates = train.updates_per_batch * train.epochs_per_batch
    found = refusals(objective, group_size=config.rollout.group_size, updates=updates)
    if config.model.lora is not None and objective.family == "reward_model":
        found.append("model.lora is not offered for reward models, whose score layer has to be trained as well")
    if (objective.data == "recorded") != (config.examples is not None):
        found.append("an examples section is what algorithms of data recorded learn from, and no others")
    if found:
        raise UserError(
            f"algorithm {config.algorithm} as configured cannot be trained:\n" + "\n".join(f"  {f}" for f in found)
        )


def _check_context(config: Config, model_config: Any) -> None:
    context = int(getattr(model_config, "max_position_embeddings", 0)) or 2**31
    needed = config.data.max_prompt_tokens + config.rollout.max_tokens
    if needed > context:
        raise UserError(
            f"data.max_prompt_tokens {config.data.max_prompt_tokens} + rollout.max_tokens {config.rollout.max_tokens} = "
            f"{needed} tokens do not fit the model's context of {context}. Lower one of them, for example "
            f"data.max_prompt_tokens={max(1, context - config.rollout.max_tokens)}."
        )


def gold_response(source: TaskSource, index: int, task: Task) -> str:
    """A response that must get full marks: the worked or reference solution, or the gold answer in a box."""
    if isinstance(source, ProceduralSource):
        return source.problem(index).demonstration
    if "reference" in task.meta:
        return f"```python\n{task.meta['reference']}\n```"
    return f"\\boxed{{{task.answer}}}"


@dataclass
class GoldCheck:
    checked: int
    rejected: list[str]
    shown: list[tuple[str, str, Score]]


def _check_gold(config: Config, source: TaskSource, first: list[Task], judge: Judge) -> GoldCheck:
    """A gold answer that its own verifier rejects would silently teach the model that the truth is wrong.

    Real datasets hold a few (4 of MBPP's 974 reference solutions fail their own tests), so a small share is reported and
    borne; more is refused.
    """
    from .prepare import open_scorer

    rows = min(source.size or len(first), GOLD_ROWS_CHECKED)
    result, refused = GoldCheck(rows, [], []), []
    with open_scorer(config, workers=0, judge=judge) as scorer:
        for index in range(rows):
            task = source.task(index)
            response = gold_response(source, index, task)
            completion = Completion(task.id, 0, [], [], response, "stop", 0)
            (group,) = scorer.score_groups([Group(task, Prompt(task.id, ()), [completion])])
            total, parts = group.scores[0], group.parts[0]
            if judge.chosen and not group.verdicts()[0].right:
                refused.append(f"{response!r:.200} ({group.verdicts()[0].reason})")
            primary, verdict = next(iter(parts.items()))
            if verdict.status in ("error", "timeout") or (verdict.counts and verdict.value <= 0.0):
                result.rejected.append(
                    f"{task.id}: answer {task.answer!r:.200}, given as {response!r:.200}, scored {verdict.value:g} "
                    f"({verdict.status}{': ' + verdict.reason if verdict.reason else ''})"
                )
            if index < 2:
                result.shown.append((task.id, response, total))
    if len(refused) > config.scoring.max_rejected_gold * rows:
        raise UserError(
            f"evaluation.verifier: {judge} does not call the gold answer right in {len(refused)} of {rows} tasks, the first "
            f"being {refused[0]}. Name a verifier that fits the data; if gold answers are not meant to pass, set "
            "scoring.max_rejected_gold=1."
        )
    if len(result.rejected) > config.scoring.max_rejected_gold * rows:
        raise UserError(
            f"the verifier {primary} does not accept the gold answer of {len(result.rejected)} of {rows} tasks, the first "
            f"being {result.rejected[0]}. Mend the answer column, data.answer_pattern or the verifier; if gold answers are "
            "not meant to pass, set scoring.max_rejected_gold=1."
        )
    return result


def _disk_needed(config: Config, parameters: int) -> int:
    checkpoint = 3 * parameters * BYTES
    models = 2 * parameters * BYTES  # the warm start and the final model
    return checkpoint * (config.train.keep_last + 1) + models + 2**20


def _check_space(run_path: Path, needed: int) -> None:
    parent = run_path.absolute()
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        raise UserError(f"--run-dir: {parent} is not writable")
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise UserError(
            f"--run-dir: {parent} has {free / 2**20:.0f} MB free and this run needs about {needed / 2**20:.0f} MB for "
            "checkpoints. Free some space, choose another --run-dir, or lower train.keep_last."
        )


def machine_memory() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
