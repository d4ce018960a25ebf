"""Where a person reads: one way to open a console, to print a line, and to make foreign text harmless.

Nothing else of the package opens a console. What a terminal can show (its width, colours, other letters than ASCII) is found
out here, and what a model or a data file wrote cannot reach the terminal as anything but text.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from grpo_kit.runtime.interrupt import Unbreakable

PIPED_WIDTH = 200  # of tables in a log file or a pipe, which have no width of their own, where COLUMNS says nothing
WIDE = 110  # columns from which on there is room for everything
INDENT = "  "
PROGRAM = "grpo-kit"

# Everything that moves a cursor, ends a line early, starts an escape sequence, or turns the direction of writing.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_IN_ASCII = {"±": "+-", "…": "...", "×": "x", "–": "-", "—": "-", "→": "->", "≤": "<=", "≥": ">=", "‘": "'", "’": "'",
             "“": '"', "”": '"', "·": ".", "\ufffd": "?"}  # fmt: skip
_ASCII = str.maketrans(_IN_ASCII)


def clean(text: str) -> str:
    """The text without control characters (but newline and tab), so that a terminal shows it and obeys none of it."""
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))


def clip(text: str, most: int, *, end: bool = False) -> str:
    """At most so many characters of a text, cleaned, whole words only where it has words. end: its last ones."""
    text = clean(text)
    if len(text) <= most:
        return text
    if end:
        kept = text[-most:]
        at = next((i for i, letter in enumerate(kept) if letter.isspace()), len(kept))
        return "... " + (kept[at + 1 :] if at < most // 2 else kept)
    kept = text[:most]
    at = max(kept.rfind(" "), kept.rfind("\n"))
    return (kept[:at] if at > most // 2 else kept) + " ..."


class SafeConsole(Console):
    """A console to which text is text: never markup, never emoji codes, never control sequences."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **arguments)

    def render_str(self, text: str, **arguments: Any) -> Text:
        return super().render_str(self.shown(text), **arguments)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        # Text may also come as rich's own objects, which nobody has to remember to clean.
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else clean(segment.text)
            yield segment if text == segment.text else Segment(text, segment.style)

    def shown(self, text: str) -> str:
        """A text as this console can show it, before anything is measured."""
        text = clean(text)
        if self.encoding != "ascii" or text.isascii():
            return text
        return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def open_console(*, stderr: bool = False, quiet: bool = False) -> SafeConsole:
    """A console on standard output (or error), as wide as the terminal, COLUMNS, or a log file's 200 columns."""
    stream = sys.stderr if stderr else sys.stdout
    file = Unbreakable(stream, ascii_only=wants_ascii(stream))
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) else None if file.isatty() else PIPED_WIDTH
    # In a notebook rich would draw with its own HTML, past our stream.
    return SafeConsole(file=file, width=width, quiet=quiet, force_jupyter=False)


def wants_ascii(stream: Any) -> bool:
    """Whether letters beyond ASCII would be unreadable: by the stream's encoding, or because the locale is C.

    Python itself writes UTF-8 under LANG=C (PEP 538 and 540), whatever the terminal does with it.
    """
    if not str(getattr(stream, "encoding", None) or "ascii").lower().startswith("utf"):
        return True
    named = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG", "")
    if named.upper() in ("C.UTF-8", "C.UTF8", "UTF-8") and not os.environ.get("LC_ALL"):
        named = os.environ.get("LANG") or named  # Python sets LC_CTYPE so when it finds LANG=C
    return named in ("C", "POSIX")


def draws(console: Console) -> bool:
    """Whether the console can move its cursor: where it cannot, lines take the place of a bar."""
    return console.is_terminal and not console.is_dumb_terminal and console.file.isatty()


def line(console: Console, text: str, style: str | None = None) -> None:
    """A line, whole in a log file; in a terminal wrapped between words, and never within one."""
    said = shown(console, text)
    if console.is_terminal:
        said = "\n".join(_wrapped(part, console.width) for part in said.split("\n"))
    console.print(Text(said), style=style, soft_wrap=True)


def shown(console: Console, text: str) -> str:
    """A text as a console can show it."""
    return console.shown(text) if isinstance(console, SafeConsole) else clean(text)


def _wrapped(text: str, width: int) -> str:
    """One line in several, none wider than the terminal unless a word of it is; a command stays one that can be pasted."""
    margin = text[: len(text) - len(text.lstrip(" "))]
    if text.startswith(f"{INDENT}{PROGRAM} "):
        with suppress(ValueError):  # quotes that do not close: it is a sentence after all
            return _continued(shlex.split(text), width)
    return textwrap.fill(
        text,
        max(20, width),
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )


def _continued(words: Sequence[str], width: int) -> str:
    """A command in lines that a shell reads as one."""
    rows = [f"{INDENT}{quote(words[0])}"]
    for word in map(quote, words[1:]):
        if len(rows[-1]) + len(word) + len(" ") + len(" \\") > width:
            rows.append(f"{INDENT}{INDENT}{word}")
        else:
            rows[-1] += f" {word}"
    return " \\\n".join(rows)


def warn(console: Console, text: str) -> None:
    line(console, f"warning: {text}", "yellow")


def command(console: Console, words: Sequence[object], says: str = "") -> None:
    """A command that can be pasted: quoted for a shell, and continued by backslashes where it is wider than the terminal."""
    if says:
        line(console, f"{INDENT}# {says}")
    line(console, f"{INDENT}{pasted(words)}")


def quote(word: object) -> str:
    """One word of a command for a shell; as it is where a shell would read it as it is."""
    return shlex.quote(str(word))


def pasted(words: Sequence[object]) -> str:
    """A command as one line, quoted for a shell."""
    return " ".join(map(quote, words))
