"""When a run is saved, and what happens when the disk refuses: training goes on, loudly, and it is tried again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grpo_kit.config import TrainConfig
from grpo_kit.runtime import ranks

from .checkpoint import (
    SaveRefused,
    accuracy_of,
    bytes_needed,
    checkpoints,
    prune,
    remove_leftovers,
    save_checkpoint,
    step_of,
)
from .learner import Trained

LONGEST_WAIT = 32  # steps between two tries while the disk refuses


class Keeper:
    """Saves a run every so many steps or minutes, where it is best, and where it is asked to."""

    def __init__(self, folder: Path, settings: TrainConfig, warn: Callable[[str], None]) -> None:
        self.folder, self.settings, self.warn = folder, settings, warn
        self.saved: int | None = None
        self.refused = 0
        self._retry_at: int | None = None
        self._saved_at = time.monotonic()
        self._best = max((a for p in checkpoints(folder) if (a := accuracy_of(p)) is not None), default=-1.0)

    def restored(self, step: int) -> None:
        """The run goes on from the checkpoint of ``step``; after the last one no save comes that would clear up."""
        self.saved = step
        if ranks.first():
            remove_leftovers(self.folder)

    def check_space(self, trained: Trained, state: dict[str, Any]) -> None:
        """Warn at the start if not even one checkpoint would fit, with the bytes; two stand beside each other in a save."""
        beside = 0 if any(checkpoints(self.folder)) else self.settings.keep_last
        needed, free = bytes_needed(trained, state), shutil.disk_usage(self.folder).free
        if free < needed * (1 + beside):
            self.warn(
                f"a checkpoint needs {needed:,} bytes, {1 + beside} of them stand on the disk at a time, and {free:,} "
                f"bytes are free at {self.folder}: saving will fail unless you free some space or lower train.keep_last"
            )

    def due(self, step: int, accuracy: float | None) -> bool:
        """Whether the state after ``step`` is to be saved. accuracy: if it was evaluated."""
        settings = self.settings
        minutes = (time.monotonic() - self._saved_at) / 60.0
        return (
            (settings.save_every is not None and step % settings.save_every == 0)
            or (settings.save_minutes is not None and minutes >= settings.save_minutes)
            or (settings.keep_best > 0 and accuracy is not None and accuracy >= self._best)
            or (self._retry_at is not None and step >= self._retry_at)
        )

    def save(self, step: int, trained: Trained, state: dict[str, Any], accuracy: float | None = None) -> bool:
        """Save, then remove what is no longer kept. False where the disk refused: said, and tried again later."""
        if self.saved == step:
            return True
        try:
            save_checkpoint(self.folder, step, trained, state, accuracy=accuracy, shard_gb=self.settings.shard_gb)
        except SaveRefused as refusal:
            self.refused += 1
            self._retry_at = step + min(2 ** (self.refused - 1), LONGEST_WAIT)
            kept = (
                "there is no checkpoint yet" if self.saved is None else f"the newest one is that of step {self.saved}"
            )
            self.warn(
                f"{refusal}. Training goes on and will try again after step {self._retry_at}; {kept}. Free some space."
            )
            return False
        self.saved, self.refused, self._retry_at, self._saved_at = step, 0, None, time.monotonic()
        if accuracy is not None:
            self._best = max(self._best, accuracy)
        prune(self.folder, self.settings.keep_last, self.settings.keep_best)
        return True

    def best(self) -> int | None:
        """The step of the checkpoint with the highest held-out accuracy."""
        measured = [(a, step_of(p)) for p in checkpoints(self.folder) if (a := accuracy_of(p)) is not None]
        return max(measured)[1] if measured else None
