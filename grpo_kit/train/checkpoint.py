"""Checkpoints: written beside, verified by a manifest, renamed into place; a damaged one is found and passed over.

``checkpoints/step-000040/model`` is a Hugging Face folder; ``.../state`` holds everything else that decides the future
of the run; ``.../manifest.json`` (size and SHA-256 of every file) is written last.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from grpo_kit.errors import RunFailed, UserError

from .learner import Trained

WRITING = ".writing-"  # begins the name of what is not whole, or no longer
MANIFEST = "manifest.json"
SLACK = 2**20  # bytes for tokenizer, config and manifest
ASIDE = "aside-"
WRITE_ERRORS = (
    OSError,
    RuntimeError,
    SafetensorError,
)  # torch and safetensors have errors of their own for a full disk


class SaveRefused(Exception):
    """The disk would not take a checkpoint. Nothing that was there before was touched."""


def save_checkpoint(
    folder: Path,
    step: int,
    trained: Trained,
    state: dict[str, Any],
    *,
    accuracy: float | None = None,
    shard_gb: float | None = None,
) -> Path:
    """Write the checkpoint of ``step`` and rename it into place when all of it is on the disk.

    Args:
        accuracy: held-out accuracy at this step, where it was measured; kept in the manifest.

    Raises:
        SaveRefused: no space, or the disk refused; nothing that was there before is touched and no half one is left.
    """
    target = folder / f"step-{step:06d}"
    scratch = folder / f"{WRITING}{target.name}"
    remove_leftovers(folder)
    needed = bytes_needed(trained, state)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SaveRefused(f"checkpoint {target} needs {needed:,} bytes and {free:,} are free")
    try:
        scratch.mkdir(parents=True)
        trained.save(scratch / "model", shard_gb)
        (scratch / "state").mkdir()
        torch.save(state, scratch / "state" / "trainer.pt")
        _write_manifest(scratch, step, accuracy)
        if target.exists():
            _remove(target)
        os.rename(scratch, target)
        _sync(folder)
    except WRITE_ERRORS as error:
        shutil.rmtree(scratch, ignore_errors=True)
        free = shutil.disk_usage(folder).free
        raise SaveRefused(
            f"checkpoint {target} needs {needed:,} bytes, {free:,} are free, and writing it failed: {_reason(error)}"
        ) from error
    return target


def prune(folder: Path, keep_last: int, keep_best: int) -> None:
    """Remove all checkpoints but the newest ``keep_last`` and the ``keep_best`` of highest held-out accuracy."""
    every = checkpoints(folder)
    measured = {path: accuracy for path in every if (accuracy := accuracy_of(path)) is not None}
    # Of equals the later one: it has seen more.
    best = sorted(measured, key=lambda path: (measured[path], path), reverse=True)[:keep_best]
    for path in every[:-keep_last]:
        if path not in best:
            _remove(path)


def remove_leftovers(folder: Path) -> None:
    """Delete what a kill in the middle of saving, or of removing, left in a folder of checkpoints."""
    for leftover in folder.glob(f"{WRITING}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _remove(path: Path) -> None:
    """Delete a folder that a reader may look for: gone as a whole, though a kill may leave its files to the next save."""
    doomed = path.with_name(f"{WRITING}old-{path.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    os.rename(path, doomed)
    shutil.rmtree(doomed)


def checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob("step-*"))


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def accuracy_of(checkpoint: Path) -> float | None:
    """The held-out accuracy that was measured at a checkpoint."""
    try:
        return json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8")).get("accuracy")
    except (OSError, ValueError):
        return None


def bytes_needed(trained: Trained, state: dict[str, Any]) -> int:
    """What a checkpoint will take, from the tensors in it."""
    weights = {parameter.data_ptr(): parameter.numel() * parameter.element_size() for parameter in _weights(trained)}
    return sum(weights.values()) + sum(t.numel() * t.element_size() for t in _tensors(state)) + SLACK


def _weights(trained: Trained) -> Iterator[torch.Tensor]:
    yield from trained.model.parameters()
    yield from trained.model.buffers()


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def latest_checkpoint(folder: Path, warn: Callable[[str], None]) -> Path | None:
    """The newest checkpoint that is whole; each damaged one on the way is named through ``warn``. None: there is none.

    Raises:
        UserError: there are some, and every one is damaged.
    """
    every = checkpoints(folder)
    for candidate in reversed(every):
        damage = find_damage(candidate)
        if damage is None:
            return candidate
        warn(f"checkpoint {candidate} is damaged ({damage}); using the one before it")
    if every:
        raise UserError(f"--resume: {folder} holds no usable checkpoint; start a new run instead")
    return None


def checkpoint_at(folder: Path, step: int, option: str) -> Path:
    """The checkpoint of a step. Raises UserError if there is none, naming those there are, or if it is damaged."""
    path = folder / f"step-{step:06d}"
    if not path.is_dir():
        there = ", ".join(str(step_of(p)) for p in checkpoints(folder)) or "none"
        raise UserError(f"{option}: {folder} has no checkpoint of step {step}; there are: {there}")
    damage = find_damage(path)
    if damage is not None:
        raise UserError(f"{option}: checkpoint {path} is damaged ({damage}); choose another step")
    return path


def set_aside_after(folder: Path, step: int) -> list[Path]:
    """Rename checkpoints of later steps, so that a run which goes on from ``step`` never falls back on another future."""
    moved = []
    for path in checkpoints(folder):
        if step_of(path) > step:
            target = folder / f"{ASIDE}{path.name}"
            shutil.rmtree(target, ignore_errors=True)
            os.rename(path, target)
            moved.append(target)
    return moved


def find_damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, or None."""
    try:
        files = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))["files"]
        expectations = {name: (expected["size"], expected["sha256"]) for name, expected in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"no readable {MANIFEST}: {error}"
    for name, (size, digest) in expectations.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes, {size} were written"
        if _sha256(path) != digest:
            return f"{name} does not hold what was written"
    return None


def load_state(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint / "state" / "trainer.pt", map_location="cpu", weights_only=True)


def save_model(trained: Trained, target: Path, shard_gb: float | None = None) -> None:
    """Write a Hugging Face folder, whole or not at all, in place of an older one.

    Raises:
        RunFailed: the disk refused.
    """
    scratch = target.with_name(f"{WRITING}{target.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        trained.save(scratch, shard_gb)
        for path in scratch.rglob("*"):
            if path.is_file():
                _sync(path)
    except WRITE_ERRORS as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise RunFailed(
            f"{target} needs {bytes_needed(trained, {}):,} bytes, {shutil.disk_usage(target.parent).free:,} are free, and "
            f"writing it failed: {_reason(error)}. Free some space; --resume goes on from the newest checkpoint."
        ) from error
    if target.exists():
        _remove(target)
    os.rename(scratch, target)


def copy_checkpoint(source: Path, folder: Path) -> Path:
    """Copy a checkpoint into another run's folder, whole or not at all."""
    scratch, target = folder / f"{WRITING}{source.name}", folder / source.name
    shutil.copytree(source, scratch)
    os.rename(scratch, target)
    return target


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or (str(error).splitlines() or [repr(error)])[0][:200]


def _write_manifest(folder: Path, step: int, accuracy: float | None) -> None:
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        _sync(path)
        files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": _sha256(path)}
    manifest = folder / MANIFEST
    content = {"step": step, "accuracy": accuracy, "files": files}
    manifest.write_text(json.dumps(content, indent=1), encoding="utf-8")
    _sync(manifest)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
