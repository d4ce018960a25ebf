"""What gives tasks, whatever it reads them from or makes them of."""

from __future__ import annotations

from typing import Protocol

from grpo_kit.types import Task


class TaskSource(Protocol):
    """Random access to tasks; ``size`` is None for an endless source."""

    @property
    def size(self) -> int | None: ...

    @property
    def fingerprint(self) -> str: ...

    def task(self, index: int) -> Task: ...
