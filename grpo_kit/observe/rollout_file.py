"""The lines of a recorded step (``rollouts/step-000001.jsonl.gz``), read without trusting who packed them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError

MAX_LINE = 64 * 2**20  # a response of a million tokens, with their log-probabilities
# Rollouts shrink to a third or a fifth. What unpacks to far more was packed to fill a memory.
MAX_RATIO = 100
FREE = 16 * 2**20


def rollout_path(folder: Path, step: int) -> Path:
    """Where a run records the completions of a step."""
    return folder / "rollouts" / f"step-{step:06d}.jsonl.gz"


def rollout_steps(folder: Path) -> dict[int, Path]:
    """The rollout files of a run by step."""
    found = {path.name[5:-9]: path for path in (folder / "rollouts").glob("step-*.jsonl.gz")}
    return {int(step): path for step, path in sorted(found.items()) if step.isdecimal()}


def rollout_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file, one a completion.

    Raises:
        UserError: the file is damaged, or it unpacks to more than recorded rollouts can.
    """
    try:
        allowed, done = max(FREE, MAX_RATIO * path.stat().st_size), 0
        with gzip.open(path, "rb") as file:
            while line := file.readline(MAX_LINE + 1):
                done += len(line)
                if len(line) > MAX_LINE or done > allowed:
                    raise ValueError(f"it unpacks to more than {min(allowed, done) / 2**20:,.0f} MiB")
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError(f"a line is {str(line[:40])[1:]}, not an object")
                yield row
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise UserError(f"{path} is damaged: it is not a rollout file: {error}") from error
