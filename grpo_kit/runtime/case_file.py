"""The rows of a file of test cases: JSON lines, each told with its place for errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_case_file(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Where a row stands, its text, and what it holds.

    Raises:
        ValueError: names the line that is not JSON, or says that there are no rows.
    """
    empty = True
    # Only a line feed ends a row: JSON strings may hold U+2028 and what else `str.splitlines` takes for an end.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        empty, where = False, f"{path}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{where}: not JSON: {error}") from error
        yield where, line, row
    if empty:
        raise ValueError(f"{path} holds no cases")
