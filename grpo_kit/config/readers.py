"""Who reads a key of a recipe: for a person who wants to know what it does exactly."""

from __future__ import annotations

# Files and rooms below grpo_kit/, by the longest beginning of a key; a test looks for every key in one of them.
READERS: dict[str, tuple[str, ...]] = {
    "algorithm": ("objective/algorithms.py",),
    "seed": ("train/assemble.py",),
    "device": ("policy/models.py",),
    "threads": ("train/assemble.py",),
    "deterministic": ("train/assemble.py",),
    "model": ("policy",),
    "model.weight_dtype": ("policy/narrow.py", "train/assemble.py"),
    "warm_start": ("train/warm_start.py",),
    "warm_start.optimizer": ("train/steps.py", "train/warm_start.py"),
    "data": ("data",),
    "data.verifiers": ("evaluate/judge.py", "train/assemble.py"),
    "curriculum": ("data/samplers.py", "data/curriculum.py"),
    "chat": ("train/assemble.py",),
    "examples": ("data/records.py", "data/lessons.py"),
    "environment": ("environments", "train/assemble.py"),
    "environment.history": ("config/environment.py",),
    "verifiers": ("evaluate/judge.py", "train/assemble.py"),
    "scoring": ("train/assemble.py",),
    "scoring.max_rejected_gold": ("train/preflight.py",),
    "rollout": ("train/assemble.py", "generate"),
    "rollout.prompts_per_step": ("train/loop.py",),
    "rollout.vllm": ("generate",),
    "replay": ("train/sources/replay_buffer.py", "train/sources/replayed.py", "train/assemble.py", "config/replay.py"),
    "objective": ("objective", "train"),
    "reference": ("train/reference.py", "train/learners.py"),
    "critic": ("train/critic.py", "train/learners.py"),
    "critic.optimizer": ("train/steps.py",),
    "optimizer": ("train/steps.py",),
    "train": ("train",),
    "train.stop_seconds": ("run/start.py",),
    "train.profile_steps": ("run/start.py",),
    "parallel": ("policy/distributed.py", "train/assemble.py"),
    "evaluation": ("train/evaluator.py", "train/assemble.py", "evaluate/judge.py", "data/datasets.py"),
    "evaluation.data": ("data",),
    "logging": ("observe/sinks.py",),
    "limits": ("train/watchdog.py",),
    "limits.hacking": ("train/watched.py",),
}


def readers_of(key: str) -> tuple[str, ...]:
    """Where a key is read; empty for one that nobody named here."""
    while key and key not in READERS:
        key = key.rpartition(".")[0]
    return READERS.get(key, ())
