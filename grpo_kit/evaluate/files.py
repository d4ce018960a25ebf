"""Outputs files of any origin as problems with responses: JSONL, JSON or Parquet, one or several samples per row."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError

# Tried in this order where no field is named; what other harnesses call theirs.
USUAL = {
    "response": ("response", "responses", "completion", "completions", "output", "outputs", "generation", "generations",
                 "resps", "code", "prediction"),
    "gold": ("answer", "gold", "gt", "ground_truth", "target", "reference", "expected_answer", "solution"),
    "prompt": ("prompt", "question", "problem", "query", "input", "instruction"),
}  # fmt: skip


@dataclass(frozen=True)
class Fields:
    """Which fields hold what; ``a.b`` reaches into nested objects. None: a usual name is looked for."""

    response: str | None = None
    gold: str | None = None
    label: str | None = None
    id: str | None = None
    prompt: str | None = None


@dataclass
class Problem:
    """One problem with everything that was answered to it. ``labels`` is empty or one per response."""

    id: str
    prompt: str
    gold: Any
    responses: list[str] = field(default_factory=list)
    labels: list[bool] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl, .json (a list, or an object of rows) or .parquet file.

    Raises:
        UserError: names the file and line that cannot be read.
    """
    if not path.is_file():
        raise UserError(f"no such file: {path} (looked in {Path.cwd()})")
    if path.suffix == ".parquet":
        rows = _parquet(path)
    elif path.suffix in (".jsonl", ".ndjson"):
        rows = _lines(path)
    elif path.suffix == ".json":
        rows = _whole(path)
    else:
        raise UserError(f"{path}: files end in .jsonl, .json or .parquet")
    if not rows:
        raise UserError(f"{path} holds no rows")
    bad = next((i for i, row in enumerate(rows) if not isinstance(row, dict)), None)
    if bad is not None:
        raise UserError(f"{path}: row {bad}: every row must be an object, found {type(rows[bad]).__name__}")
    return rows


def _lines(path: Path) -> list[Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise UserError(f"{path}:{number}: not valid JSON: {error.msg} at column {error.colno}") from error
    return rows


def _whole(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from error
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list) and value]
        if len(lists) == 1:
            return lists[0]
        if all(isinstance(value, dict) for value in content.values()):
            return [{"id": key, **value} for key, value in content.items()]
    if isinstance(content, list):
        return content
    raise UserError(f"{path}: expected a list of rows, or an object that holds one")


def _parquet(path: Path) -> list[Any]:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table

    try:
        return read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise UserError(f"{path}: not a Parquet file: {str(error).splitlines()[0]}") from error


def file_fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()[:32]}"


def resolve_fields(rows: Sequence[Mapping[str, Any]], fields: Fields, path: Path) -> Fields:
    """Fill in the fields that were not named, and check those that were.

    Raises:
        UserError: a named field is in no row, or no usual name is.
    """
    chosen: dict[str, str | None] = {}
    for role in ("response", "gold", "label", "id", "prompt"):
        named = getattr(fields, role)
        if named is not None:
            _check(rows, named, role, path)
            chosen[role] = named
            continue
        taken = {chosen.get("response"), chosen.get("gold")}
        chosen[role] = next((n for n in USUAL.get(role, ()) if n in rows[0] and n not in taken), None)
        if chosen[role] is None and role in ("response", "gold"):
            raise UserError(f"{path}: name the {role}s with --{role}-field; the rows have: {', '.join(rows[0])}")
    return Fields(**chosen)


def _check(rows: Sequence[Mapping[str, Any]], name: str, role: str, path: Path) -> None:
    if any(_has(row, name) for row in rows[:100]):
        return
    close = difflib.get_close_matches(name, _names(rows[0]), 1, 0.5)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise UserError(f"--{role}-field: {path} has no field {name!r}; it has: {', '.join(_names(rows[0]))}.{hint}")


def _names(row: Mapping[str, Any]) -> list[str]:
    inner = [f"{k}.{i}" for k, v in row.items() if isinstance(v, Mapping) for i in v]
    return [k for k, v in row.items() if not isinstance(v, Mapping)] + inner


def _has(row: Mapping[str, Any], name: str) -> bool:
    try:
        _value(row, name)
    except KeyError:
        return False
    return True


def _value(row: Any, name: str) -> Any:
    if isinstance(row, Mapping) and name in row:
        return row[name]
    first, dot, rest = name.partition(".")
    if dot and isinstance(row, Mapping) and first in row:
        return _value(row[first], rest)
    raise KeyError(name)


def problems_of(rows: Sequence[Mapping[str, Any]], fields: Fields, path: Path) -> list[Problem]:
    """Rows as problems. Rows with the same id (where an id field is named) are samples of one problem.

    Args:
        fields: as `resolve_fields` returns them.

    Raises:
        UserError: a row lacks a field, a response is not text, or there are not as many labels as responses.
    """
    found: dict[str, Problem] = {}
    for number, row in enumerate(rows):
        where = f"{path}: row {number}"
        try:
            responses = _texts(_value(row, str(fields.response)), where, str(fields.response))
            gold = _value(row, str(fields.gold))
            id = str(_value(row, fields.id)) if fields.id else str(number)
            labels = _labels(_value(row, fields.label), len(responses), where) if fields.label else []
            prompt = _value(row, fields.prompt) if fields.prompt else ""
        except KeyError as error:
            raise UserError(f"{where} has no field {error.args[0]!r}; it has: {', '.join(_names(row))}") from None
        used = {fields.response, fields.gold, fields.label, "verifier"}
        meta = {k: v for k, v in row.items() if k not in used}
        problem = found.setdefault(id, Problem(id, _prompt_text(prompt), gold, meta=meta))
        if problem.gold != gold:
            raise UserError(
                f"{where}: problem {id} has the gold {gold!r:.80}, and {problem.gold!r:.80} in an earlier row"
            )
        problem.responses += responses
        problem.labels += labels
    return list(found.values())


def _texts(value: Any, where: str, name: str) -> list[str]:
    """A text, a list of texts, or such lists within lists (as lm-eval nests them)."""
    if value is None:
        return [""]
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        for key in ("text", "content", "response"):
            if isinstance(value.get(key), str):
                return [value[key]]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item, where, name)]
    raise UserError(f"{where}: {name} must be text or a list of texts, found {type(value).__name__}: {value!r:.80}")


def _prompt_text(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        value = value[-1].get("content", "")
    return value if isinstance(value, str) else str(value)


def _labels(value: Any, count: int, where: str) -> list[bool]:
    values = value if isinstance(value, list) else [value] * count
    if len(values) != count:
        raise UserError(f"{where}: {len(values)} labels for {count} responses")
    bad = next((v for v in values if not isinstance(v, (bool, int, float))), None)
    if bad is not None:
        raise UserError(f"{where}: a label must be true, false or a number (1 and more is right), found {bad!r:.80}")
    return [bool(v >= 1) for v in values]
