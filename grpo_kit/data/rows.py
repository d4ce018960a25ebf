"""Rows of data as their file has them: Python objects from JSON, text from CSV, what is declared from Parquet and the hub.

A table library that gives a column one type turns 4 beside 0.5 into 4.0, fills in what objects lack and guesses that 007 is
a number; a gold answer changed on the way is a truth that nobody wrote.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from grpo_kit.errors import UserError

Row = Mapping[str, Any]
Parsed = list[dict[str, Any]]
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
# What a packed file may become: a few kilobytes can be made to unpack to terabytes. A step of 512 completions of 8,000
# tokens each is 0.2 GB.
MOST_UNPACKED = 2 * 2**30  # bytes
LONGEST_LINE = 256 * 2**20  # bytes
LONGEST_CELL = 2**27  # bytes; csv's own limit is smaller than a long reference solution


class Rows(Sequence[Row]):
    """Rows of one file or data set, in its order.

    Attributes:
        column_names: every column that any row has, in the order they were met.
    """

    def __init__(self, rows: Sequence[Row], column_names: Sequence[str] | None = None) -> None:
        self._rows = rows
        names = (name for row in rows for name in row) if column_names is None else column_names
        self.column_names = list(dict.fromkeys(names))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:  # type: ignore[override]
        return self._rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def select(self, indices: Iterable[int]) -> Rows:
        """Those rows alone, with the same columns."""
        if hasattr(self._rows, "select"):  # a data set on disk stays there
            return Rows(self._rows.select(indices), self.column_names)
        return Rows([self._rows[i] for i in indices], self.column_names)


def file_suffix(path: Path) -> str:
    """The kind of a data file by its name, in lower case and without .gz; empty where it is none."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in SUFFIXES else ""


def is_one_file(path: str) -> bool:
    """Whether a path names a file, which has neither subset nor split."""
    here = Path(path).expanduser()
    return here.is_file() or bool(file_suffix(here))


def read_rows(path: str, where: str, *, subset: str | None = None, split: str = "train") -> Rows:
    """The rows of a file, of a folder of files, or of a data set on the Hugging Face hub.

    Args:
        where: the section of the recipe that asks, such as ``data``.
        subset: of a data set on the hub; a folder in a folder.
        split: which part of a folder or of a data set on the hub.

    Raises:
        UserError: there is nothing, or it cannot be read, with the row and the way out.
    """
    here = Path(path).expanduser()
    if is_one_file(path):
        return read_file(here, where)
    if here.is_dir():
        return _read_folder(here, where, subset, split)
    if not _is_hub_name(path):
        raise UserError(
            f"{where}.path: {path} does not exist here, and is not a hub name; files end in {', '.join(SUFFIXES)}"
        )
    return _read_hub(path, where, subset, split)


def read_file(path: Path, where: str = "", limit: int | None = None) -> Rows:
    """The rows of one file, of any kind of `SUFFIXES`, each also packed.

    Args:
        where: the section of the recipe that names it; empty where none does.
        limit: only the first rows; of a file of lines, the rest is not read.

    Raises:
        UserError: it is not there, damaged or too large, with the line and the way out.
    """
    at = f"{where}.path: " if where else ""
    if not path.is_file():
        raise UserError(f"{at}no such file: {path} (looked in {Path.cwd()})")
    if path.stat().st_size == 0:
        raise UserError(f"{at}{path} is empty")
    kind = file_suffix(path)
    if not kind:
        raise UserError(
            f"{at}{path} is a file of no kind that is read here; those end in {', '.join(SUFFIXES)}, each also with .gz"
        )
    if kind == ".parquet":
        return _read_parquet(path, at, limit)
    try:
        rows = _json_lines(_lines(path), path, limit) if kind in LINES else PARSERS[kind](_text(path), path)[:limit]
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{at}{path} could not be read: {error}") from error
    return Rows(rows)


def _decoded(content: bytes, where: str, encoding: str = "utf-8-sig") -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is {error.object[error.start]:#x}"
        raise UserError(f"{where} is not UTF-8 text: {found}; save it as UTF-8") from error


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _refuse_bomb(path: Path) -> NoReturn:
    raise UserError(
        f"{path} unpacks to more than {MOST_UNPACKED / 2**30:g} GiB; unpack it yourself if you trust it, or keep to the first "
        "rows"
    )


def _text(path: Path) -> str:
    """The text of a file, unpacked, without a byte order mark."""
    if not _is_packed(path):
        content = path.read_bytes()
    else:
        with gzip.open(path, "rb") as file:
            content = file.read(MOST_UNPACKED + 1)
        if len(content) > MOST_UNPACKED:
            _refuse_bomb(path)
    return _decoded(content, str(path))


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file, unpacked, without a byte order mark."""
    total = 0
    with cast("IO[bytes]", gzip.open(path, "rb") if _is_packed(path) else path.open("rb")) as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), start=1):
            total += len(line)
            if len(line) > LONGEST_LINE:
                raise UserError(f"{path}:{number}: the line is longer than {LONGEST_LINE / 2**20:,.0f} MiB")
            if total > MOST_UNPACKED and _is_packed(path):
                _refuse_bomb(path)
            yield _decoded(line, f"{path}:{number}", "utf-8-sig" if number == 1 else "utf-8")


def _json_lines(lines: Iterable[str], path: Path, limit: int | None = None) -> Parsed:
    rows: Parsed = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}:{number}: not valid JSON: {_reason(error)}") from error
        if not isinstance(rows[-1], dict):
            raise UserError(f"{path}:{number}: every line must be a JSON object, found {line.strip()[:40]!r}")
        if len(rows) == limit:
            break
    return rows


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)


def _json_document(text: str, path: Path) -> Parsed:
    """Objects in a list, in columns, by name, or as the only list of an object; or lines, which some writers call .json too."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return _json_lines(text.split("\n"), path)
    if isinstance(document, dict):
        document = _columns(document, path) or _objects(document)
    if not isinstance(document, list):
        raise UserError(f"{path}: a list of JSON objects is wanted, found {text.strip()[:40]!r}")
    for number, row in enumerate(document):
        if not isinstance(row, dict):
            raise UserError(f"{path}: row {number} is no JSON object: {row!r:.60}")
    return document


def _objects(document: dict[str, Any]) -> Parsed:
    """The rows of an object that holds one list of objects, or objects alone, whose names are their ids; else it is a row."""
    lists = [v for v in document.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
    if len(lists) == 1:
        return lists[0]
    if document and all(isinstance(value, dict) for value in document.values()):
        return [{"id": name, **value} for name, value in document.items()]
    return [document]


def _columns(document: dict[str, Any], path: Path) -> Parsed | None:
    """The rows of an object of columns, each a list or an object of numbered cells; None where it is none."""
    cells: dict[str, list[Any]] = {}
    for name, column in document.items():
        if isinstance(column, dict) and list(column) == [str(i) for i in range(len(column))]:
            column = list(column.values())
        if not isinstance(column, list):
            return None
        cells[name] = column
    if len(cells) < 2 or all(column and isinstance(column[0], dict) for column in cells.values()):
        return None
    lengths = {name: len(column) for name, column in cells.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UserError(f"{path}: columns of one length are wanted, found {listed:.200}")
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


def _delimiter(text: str) -> tuple[str, str]:
    """What separates the cells of a .csv, and its text without a first line that says so.

    Spreadsheets write semicolons where a comma is the decimal mark. A header without a comma tells.
    """
    first, _, rest = text.partition("\n")
    said = re.fullmatch(r"sep=(.)\r?", first)
    if said:
        return said[1], rest
    found = [mark for mark in DELIMITERS if len(next(csv.reader([first], delimiter=mark), [])) > 1]
    return (found[0] if found else ","), text


def _table(delimiter: str | None) -> Callable[[str, Path], Parsed]:
    def parse(text: str, path: Path) -> Parsed:
        """Every cell as text: what looks like a number may be a name, and 0.10 is not 0.1."""
        csv.field_size_limit(LONGEST_CELL)
        mark, text = (delimiter, text) if delimiter else _delimiter(text)
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
        rows: Parsed = []
        try:
            header = next(lines, [])
            for cells in lines:
                if cells and len(cells) != len(header):
                    raise UserError(
                        f"{path}:{lines.line_num}: {len(cells)} cells, and the header has {len(header)}; put cells that hold a "
                        f"{DELIMITERS.get(mark, mark)} or a line end in quotes"
                    )
                if cells:
                    rows.append(dict(zip(header, cells, strict=True)))
        except csv.Error as error:
            raise UserError(f"{path}:{lines.line_num}: {error}") from error
        return _named(header, rows, path)

    return parse


def _named(header: list[str], rows: Parsed, path: Path) -> Parsed:
    """Rows whose cells all have a name of their own; nameless columns without a cell are what spreadsheets leave behind."""
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise UserError(f"{path}: the header has two columns {repeated[0]!r}")
    if all(header):
        return rows
    if header.count("") > 1 or any(row[""] for row in rows):
        raise UserError(
            f"{path}: the header has a column without a name; give it one, or leave it out (an index, often)"
        )
    return [{name: cell for name, cell in row.items() if name} for row in rows]


LINES = (".jsonl", ".ndjson")
PARSERS: dict[str, Callable[[str, Path], Parsed]] = {
    ".json": _json_document,
    ".csv": _table(None),
    ".tsv": _table("\t"),
}


def _read_parquet(path: Path, at: str, limit: int | None) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        # The file alone: opened by name, a path such as subset=main/x.parquet would add columns.
        table = pyarrow.parquet.ParquetFile(path).read()
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{at}{path} could not be read: {str(error).splitlines()[0]:.300}") from error
    return Rows((table if limit is None else table.slice(0, limit)).to_pylist(), table.column_names)


def _read_folder(path: Path, where: str, subset: str | None, split: str) -> Rows:
    if (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file():
        return _saved(path, where, split)
    root = path / subset if subset is not None else path
    found = sorted(p for folder in (root, root / "data") if folder.is_dir() for p in folder.iterdir() if file_suffix(p))
    if not found:
        raise UserError(f"{where}.path: {root} holds no data files; they end in {', '.join(SUFFIXES)}")
    named = [p for p in found if re.split(r"[-_.]", p.name)[0] == split]
    # Parts of one table, numbered by whoever wrote it, are the one split that there is.
    whole = len({re.sub(r"\d+", "", p.name) for p in found}) == 1
    if not named and (split != "train" or not whole):
        raise UserError(
            f"{where}.split: {root} has no file for the split {split!r}; it has: {', '.join(p.name for p in found[:6])}. Give "
            f"{where}.split, or the file itself as {where}.path"
        )
    parts = [read_file(p, where) for p in named or found]
    columns = list(dict.fromkeys(name for part in parts for name in part.column_names))
    return Rows([row for part in parts for row in part], columns)


def _saved(path: Path, where: str, split: str) -> Rows:
    import datasets

    datasets.disable_progress_bars()
    try:
        saved = datasets.load_from_disk(str(path))
    except Exception as error:  # datasets raises its own kinds for every format
        raise _unread(path, where, error) from error
    if isinstance(saved, datasets.DatasetDict):
        if split not in saved:
            raise UserError(f"{where}.split: {path} has no split {split!r}; it has: {', '.join(saved)}")
        saved = saved[split]
    return Rows(saved, saved.column_names)


def _read_hub(name: str, where: str, subset: str | None, split: str) -> Rows:
    import datasets

    datasets.disable_progress_bars()
    try:
        found = datasets.load_dataset(name, subset, split=split)
    except Exception as error:  # datasets raises its own kinds for every reader and for the hub
        raise _unread(name, where, error) from error
    return Rows(found, found.column_names)


def _unread(path: Path | str, where: str, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(f"{where}.path: {path} could not be read: {reason[:300]}")


def _is_hub_name(name: str) -> bool:
    return re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) is not None and not name.startswith(".")
