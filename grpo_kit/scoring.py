"""Runs verifiers over completions and combines their scores into one reward."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpo_kit.types import Completion, Group, Score, Task
from grpo_kit.verifiers import Verifier, get_verifier


@dataclass(frozen=True)
class VerifierSpec:
    name: str
    weight: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)
    timeout: float | None = None


class Scorer:
    def __init__(
        self,
        specs: Sequence[VerifierSpec],
        workers: int = 1,
        max_error_rate: float = 0.5,
        error_patience: int = 3,
        memory_mb: int | None = None,
        traceback_dir: Path | None = None,
    ) -> None:
        self.specs = list(specs)
        self.verifiers: list[Verifier] = [get_verifier(s.name).with_options(s.options) for s in specs]
        self._values: dict[str, list[float]] = defaultdict(list)

    def score_groups(self, groups: Iterable[Group]) -> Iterator[Group]:
        for group in groups:
            scored = self.score_completions(group.task, group.completions)
            group.scores = [total for total, _ in scored]
            group.parts = [parts for _, parts in scored]
            yield group

    def score_completions(self, task: Task, completions: Sequence[Completion]) -> list[tuple[Score, dict[str, Score]]]:
        return [self._score(task, completion) for completion in completions]

    def _score(self, task: Task, completion: Completion) -> tuple[Score, dict[str, Score]]:
        parts = {}
        for spec, verifier in zip(self.specs, self.verifiers, strict=True):
            parts[spec.name] = score = verifier(
                response=completion.text,
                answer=task.answer,
                prompt=task.prompt,
                meta=task.meta,
                completion_ids=completion.token_ids,
                messages=list(task.messages),
            )
            self._values[spec.name].append(score.value)
        total = sum(s.weight * parts[s.name].value for s in self.specs if parts[s.name].counts)
        return Score(total), parts

    def statistics(self) -> dict[str, float]:
        result = {f"verifier/{k}/mean": statistics.fmean(v) for k, v in self._values.items() if v}
        self._values.clear()
        return result

    def close(self) -> None:
        return None

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
