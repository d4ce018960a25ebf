"""Checkpoints: written beside, verified by a manifest, renamed into place; a damaged one is found and passed over.

``checkpoints/step-000040/model`` is a Hugging Face folder; ``.../state`` holds everything else that decides the future
of the run; ``.../manifest.json`` (size and SHA-256 of every file) is written last.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from grpo_kit.errors import RunFailed, UserError

from .learners import Trained

MANIFEST = "manifest.json"


def save_checkpoint(folder: Path, step: int, trained: Trained, state: dict[str, Any], keep_last: int) -> Path:
    """Write the checkpoint of ``step``, then remove all but the ``keep_last`` newest.

    Raises:
        RunFailed: no space, or the disk refused; nothing that was there before is touched.
    """
    target = folder / f"step-{step:06d}"
    scratch = folder / f".writing-{target.name}"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
        trained.save(scratch / "model")
        (scratch / "state").mkdir()
        torch.save(state, scratch / "state" / "trainer.pt")
        _write_manifest(scratch, step)
        if target.exists():
            shutil.rmtree(target)
        os.rename(scratch, target)
        _sync(folder)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise RunFailed(f"checkpoint {target} could not be written: {error.strerror or error}") from error
    for old in sorted(folder.glob("step-*"))[:-keep_last]:
        shutil.rmtree(old)
    return target


def latest_checkpoint(folder: Path, warn: Any) -> Path:
    """The newest checkpoint that is whole; each damaged one on the way is named through ``warn``.

    Raises:
        UserError: there is none.
    """
    for candidate in sorted(folder.glob("step-*"), reverse=True):
        damage = find_damage(candidate)
        if damage is None:
            return candidate
        warn(f"checkpoint {candidate} is damaged ({damage}); using the one before it")
    raise UserError(f"--resume: {folder} holds no usable checkpoint; start a new run instead")


def find_damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, or None."""
    try:
        files = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError) as error:
        return f"no readable {MANIFEST}: {error}"
    for name, expected in files.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != expected["size"]:
            return f"{name} has {path.stat().st_size} bytes, {expected['size']} were written"
        if _sha256(path) != expected["sha256"]:
            return f"{name} does not hold what was written"
    return None


def load_state(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint / "state" / "trainer.pt", map_location="cpu", weights_only=True)


def _write_manifest(folder: Path, step: int) -> None:
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        _sync(path)
        files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": _sha256(path)}
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"step": step, "files": files}, indent=1), encoding="utf-8")
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
