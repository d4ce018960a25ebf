"""A recorded step learned from again, offline: from its rollouts and the weights that it began with to its loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from grpo_kit.config import Config
from grpo_kit.config.read import load_recipe
from grpo_kit.data.records import read_step
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.rollout_file import rollout_path
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.policy.lora import attach_lora
from grpo_kit.types import Group

from .assemble import open_buffer, prepare_policy, prepare_records
from .checkpoint import checkpoints, find_damage, load_state, step_of
from .guards import not_finite
from .learner import Learner
from .learners import open_learner
from .sources.rounds import interleaved

# What of a step's metrics follows from its rollouts and weights alone.
COMPARED = (
    "loss",
    "grad_norm",
    "entropy",
    "kl/reference",
    "teacher/reverse_kl",
    "clip/low",
    "clip/high",
    "ratio/max",
    "ratio/min",
    "critic/loss",
)


@dataclass(frozen=True)
class Replayed:
    """A number of a step, as it was recorded and as it comes out now; None where it was not recorded."""

    name: str
    recorded: float | None
    again: float

    @property
    def difference(self) -> float:
        """Relative; 0 where both are not finite."""
        if self.recorded is None or (not math.isfinite(self.recorded) and not math.isfinite(self.again)):
            return 0.0
        size = max(abs(self.recorded), abs(self.again), 1e-8)
        return abs(self.recorded - self.again) / size if math.isfinite(self.again) else math.inf


@dataclass(frozen=True)
class Replay:
    """What came of replaying a step. source: where its rollouts were read. weights: where those it began with were."""

    source: str
    weights: str
    numbers: list[Replayed]
    problem: str | None

    @property
    def difference(self) -> float:
        return max((n.difference for n in self.numbers), default=0.0)


def replay_step(folder: Path, step: int) -> Replay:
    """Learn from a recorded step once more, in memory; nothing is written.

    Raises:
        UserError: the rollouts of the step, or the weights that it began with, are not there any more.
    """
    run = RunDirectory.open(folder)
    config = load_recipe(run.path / "config.yaml", complete=False)
    recorded = {k: v for m in run.read_metrics() if m["step"] == step for k, v in m.items()}
    # Read before the model is loaded: most mistakes show here.
    path = _rollouts(run, config, step)
    start = _start(run, step)
    learner, groups = _prepare(run, config, step, path, start)
    source = "the recipe's examples" if path is None else str(path)
    shown = "the weights that the run began with" if start is None else str(start)
    problem = not_finite(groups)
    if problem is not None:
        return Replay(source, shown, [], problem)
    learned = learner.learn(groups)
    numbers = [
        Replayed(name, recorded.get(name), learned.metrics[name]) for name in COMPARED if name in learned.metrics
    ]
    skipped = any(name.endswith("skipped_updates") and count for name, count in learned.metrics.items())
    return Replay(source, shown, numbers, "the loss or its gradient is not finite" if skipped else None)


def _rollouts(run: RunDirectory, config: Config, step: int) -> Path | None:
    """The file of a step's groups; None where they come from the recipe's examples."""
    recorded = rollout_path(run.path, step)
    for path in (run.dumps / recorded.name, recorded):
        if path.is_file():
            return path
    if config.examples is not None:
        return None
    there = sorted(int(p.name[5:11]) for p in run.rollouts.glob("step-*.jsonl.gz"))
    span = f"it has those of the steps {there[0]} to {there[-1]}" if there else "it has none"
    raise UserError(
        f"--step {step}: {run.path} has no rollouts of that step; {span} (train.log_rollouts_every is "
        f"{config.train.log_rollouts_every})"
    )


def _start(run: RunDirectory, step: int) -> Path | None:
    """The checkpoint that holds what step ``step`` began with; None for the beginning of the run.

    Steps whose updates were all skipped left the weights as they were, and are stepped over.
    """
    unmoved = {m["step"] for m in run.read_metrics() if m.get("skipped_updates") and "grad_norm" not in m}
    there = {step_of(path): path for path in checkpoints(run.checkpoints)}
    wanted = step - 1
    while wanted not in there and wanted in unmoved:
        wanted -= 1
    if wanted in there:
        damage = find_damage(there[wanted])
        if damage is not None:
            raise UserError(f"--step {step}: checkpoint {there[wanted]} is damaged ({damage})")
        return there[wanted]
    if wanted == 0 and run.forked_at() is None:
        return None
    listed = ", ".join(map(str, sorted(there))) or "none"
    taken = {m["step"] for m in run.read_metrics() if m["step"] > 0}
    begun = {n + 1 for n in there} | ({1} if run.forked_at() is None else set())
    possible = ", ".join(map(str, sorted(begun & taken))) or "none"
    raise UserError(
        f"--step {step}: the weights that it began with are those of step {step - 1}, of which there is no checkpoint (there "
        f"are: {listed}). Steps that can be replayed: {possible}. train.save_every and train.keep_last decide what is kept."
    )


def _prepare(
    run: RunDirectory, config: Config, step: int, path: Path | None, start: Path | None
) -> tuple[Learner, list[Group]]:
    """The learner as it was before the step, and the step's groups."""
    objective = resolve_objective(config.algorithm, config.objective, config.sampled_by)
    policy = prepare_policy(config)
    if config.warm_start is not None:
        policy.load_weights(run.path / "warm_start")
    torch.manual_seed(config.seed)
    if config.model.lora is not None:
        policy = attach_lora(policy, config.model.lora)
    learner = open_learner(config, objective, policy)
    state = None if start is None else load_state(start)
    if start is not None and state is not None:
        learner.trained.load_weights(start / "model")
        learner.load_state_dict(state["learner"])
    learner.trained.model.train()
    if path is not None:
        again = [] if state is None or path.parent == run.dumps else _learned_again(run, config, step, state)
        return learner, interleaved(read_step(path), again)
    return learner, prepare_records(config, objective, policy).next(step, config.rollout.prompts_per_step)


def _learned_again(run: RunDirectory, config: Config, step: int, state: dict[str, Any]) -> list[Group]:
    """The groups of earlier steps that a step drew from its replay buffer; drawn from the state that it began with."""
    buffer = open_buffer(config, run.path)
    if buffer is None:
        return []
    buffer.load_state_dict(state["sampler"].get("replay"))
    return buffer.draw(step, state["policy_version"]).groups
