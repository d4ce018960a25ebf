"""One place decides how a table fits: whole, with its headings wrapped, without what can be spared, or row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .terminal import line, shown

Cell = str | Text
PROSE = 16  # columns that running text is given at least


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    words: its cells are running text, wrapped between words. spare: where there is no room the highest goes first; one of 0
    is always shown.
    """

    name: str
    right: bool = False
    words: bool = False
    spare: int = 0


def show_table(
    console: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    title: str | None = None,
    framed: bool = True,
    rules: bool = False,
    heading: bool = True,
    hint: str = "",
) -> None:
    """Print a table without cutting a word. Cells are text, not markup.

    Args:
        framed: with lines around it. rules: with lines between the rows. heading: with the columns' names.
        hint: what shows the columns that were left out.
    """
    cells = [[_text(console, cell) for cell in row] for row in rows]
    kept = list(range(len(columns)))
    while True:
        widths = _widths(
            console.width, [columns[i] for i in kept], [[row[i] for i in kept] for row in cells], framed, heading
        )
        spare = max(kept, key=lambda i: columns[i].spare)
        if widths is not None or not columns[spare].spare:
            break
        kept.remove(spare)
    if widths is None:
        _show_rows(console, columns, cells, title)
        return
    table = Table(title=title, title_justify="left", show_lines=rules, show_header=heading)
    if not framed:
        table.box, table.pad_edge = None, False
    for i, width in zip(kept, widths, strict=True):
        right = "right" if columns[i].right else "left"
        table.add_column(_text(console, columns[i].name), justify=right, width=width, overflow="fold")  # type: ignore[arg-type]
    for row in cells:
        table.add_row(*(row[i] for i in kept))
    console.print(table)
    if len(kept) < len(columns):
        missing = ", ".join(c.name for i, c in enumerate(columns) if i not in kept)
        line(console, f"not shown at {console.width} columns: {missing}{f'; {hint}' if hint else ''}", "dim")


def _text(console: Console, cell: Cell) -> Text:
    if isinstance(cell, str):
        return Text(shown(console, cell))
    return Text(shown(console, cell.plain), style=cell.style)


def _widths(
    room: int, columns: Sequence[Column], rows: Sequence[Sequence[Text]], framed: bool, heading: bool
) -> list[int] | None:
    """Columns' widths that fit and cut no word, headings wrapped if they must be; None if there are none."""
    room -= 3 * len(columns) + 1 if framed else len(columns) - 1 + len(columns)
    whole = [max([_longest(row[i]) for row in rows], default=0) for i in range(len(columns))]
    least = [
        max(max([_longest_word(row[i]) for row in rows], default=0), min(whole[i], PROSE)) if column.words else whole[i]
        for i, column in enumerate(columns)
    ]
    if heading:
        named = [max(size, cell_len(column.name)) for size, column in zip(least, columns, strict=True)]
        if sum(named) > room:
            words = [max(map(cell_len, column.name.split()), default=0) for column in columns]
            named = [max(size, word) for size, word in zip(least, words, strict=True)]
        least = named
    if sum(least) > room:
        return None
    widths = list(least)
    while (left := room - sum(widths)) > 0:  # what is left goes to the text that is cut into most lines
        wanting = [i for i in range(len(columns)) if widths[i] < whole[i]]
        if not wanting:
            break
        most = max(wanting, key=lambda i: whole[i] / max(1, widths[i]))
        widths[most] += min(left, max(1, (whole[most] - widths[most]) // 4))
    return widths


def _longest(text: Text) -> int:
    return max(map(cell_len, text.plain.expandtabs(8).split("\n")))


def _longest_word(text: Text) -> int:
    return max(map(cell_len, text.plain.split()), default=0)


def _show_rows(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text]], title: str | None) -> None:
    """Each row as lines of name and value."""
    if title:
        line(console, title, "italic")
    width = max(cell_len(column.name) for column in columns)
    for number, row in enumerate(rows):
        if number:
            console.print()
        grid = Table(box=None, show_header=False, pad_edge=False)
        grid.add_column(width=width, overflow="fold")
        grid.add_column(width=max(1, console.width - width - 2), overflow="fold")
        for column, cell in zip(columns, row, strict=True):
            if cell.plain.strip():
                grid.add_row(_text(console, column.name), cell)
        console.print(grid)
