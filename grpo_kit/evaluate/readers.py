"""Rows of a file: JSONL (also gzipped), JSON or Parquet, whole and bounded, or an error that names the line."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from grpo_kit.errors import UserError

LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
# What a packed file may become: a few kilobytes can be made to unpack to terabytes. A step of 512 completions of 8,000
# tokens each is 0.2 GB.
MOST_UNPACKED = 2 * 2**30
LONGEST_LINE = 256 * 2**20


def read_rows(path: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """The rows of a .jsonl, .jsonl.gz, .json (a list, or an object of rows) or .parquet file.

    Args:
        limit: only the first rows; of a file of lines, the rest is not read.

    Raises:
        UserError: names the file and line that cannot be read.
    """
    if not path.is_file():
        raise UserError(f"no such file: {path} (looked in {Path.cwd()})")
    name = path.name.lower()
    if name.endswith(".parquet"):
        rows = _parquet(path)
    elif name.endswith(LINES):
        rows = _lines(path, limit)
    elif name.endswith(".json"):
        rows = _whole(path)
    else:
        raise UserError(f"{path}: files end in {', '.join(LINES)}, .json or .parquet")
    if not rows:
        raise UserError(f"{path} holds no rows")
    bad = next((i for i, row in enumerate(rows) if not isinstance(row, dict)), None)
    if bad is not None:
        raise UserError(f"{path}: row {bad}: every row must be an object, found {type(rows[bad]).__name__}")
    return rows[:limit]


def _lines(path: Path, limit: int | None) -> list[Any]:
    rows: list[Any] = []
    for number, line in _text_lines(path):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise UserError(f"{path}:{number}: not valid JSON: {error.msg} at column {error.colno}") from error
            except RecursionError as error:
                raise UserError(f"{path}:{number}: not valid JSON: it is nested too deep") from error
            if len(rows) == limit:
                break
    return rows


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    packed = path.name.lower().endswith(".gz")
    total = 0
    try:
        with cast("IO[bytes]", gzip.open(path, "rb") if packed else path.open("rb")) as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), start=1):
                total += len(line)
                if len(line) > LONGEST_LINE:
                    raise UserError(f"{path}:{number}: the line is longer than {LONGEST_LINE / 2**20:,.0f} MiB")
                if packed and total > MOST_UNPACKED:
                    raise UserError(
                        f"{path}:{number}: it unpacks to more than {MOST_UNPACKED / 2**30:g} GiB; unpack it yourself if you "
                        "trust it, or give --limit"
                    )
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start} of line {number}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: {'damaged or no gzip file' if packed else 'cannot be read'}: {error}") from error


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
