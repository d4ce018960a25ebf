"""A command in a pseudo-terminal, and what a person would then see on its screen."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pyte

ROWS = 600  # so tall that nothing scrolls away
LAST_RESORT = 300  # seconds; what ends a wait is the child's output or its end


@dataclass
class Shown:
    """The screen when the command had ended, and how it ended."""

    lines: list[str]
    code: int | None
    raw: str

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def words(self) -> set[str]:
        """What stands between blanks and lines of tables, numbers made alike (times differ from run to run)."""
        return words_of(self.text)

    def title(self, name: str) -> bool:
        return any(name in line for line in self.lines)


def words_of(text: str) -> set[str]:
    parts = re.split(r"[\s│┃┏┓┗┛┡┩├┤┼╇╈╭╮╰╯━─┬┴┳┻╺╸|+\\-]+", re.sub(r"\d+", "0", text))
    return {part for part in parts if part}


class Terminal:
    """`grpo-kit` with arguments, in a terminal of so many columns."""

    def __init__(
        self,
        *arguments: object,
        columns: int = 80,
        cwd: Path | None = None,
        python: str | None = None,
        **environment: str,
    ) -> None:
        self.columns = columns
        inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "LC_ALL", "LC_CTYPE")}
        self.child = pexpect.spawn(
            python or sys.executable,
            ["-m", "grpo_kit", *map(str, arguments)],
            dimensions=(ROWS, columns),
            cwd=cwd,
            env={**inherited, "TERM": "xterm-256color", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", **environment},
            timeout=LAST_RESORT,
            encoding=None,
        )
        self.seen = b""

    def wait_for(self, pattern: str) -> None:
        """Until the output holds a pattern."""
        self.child.expect(pattern.encode())
        self.seen += self.child.before + self.child.after

    def interrupt(self) -> None:
        """Ctrl-C, as the terminal's driver passes it on."""
        self.child.sendintr()

    def resize(self, columns: int) -> None:
        """Another width of the window; the driver sends SIGWINCH."""
        self.columns = columns
        self.child.setwinsize(ROWS, columns)

    def end(self) -> Shown:
        """Until the command has ended."""
        self.child.expect(pexpect.EOF)
        self.seen += self.child.before
        self.child.close()
        screen = pyte.Screen(self.columns, ROWS)
        pyte.ByteStream(screen).feed(self.seen)
        lines = [line.rstrip() for line in screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return Shown(lines, self.child.exitstatus, self.seen.decode("utf-8", "replace"))


def on_screen(*arguments: object, columns: int = 80, cwd: Path | None = None, **environment: str) -> Shown:
    """Run a command to its end in a terminal."""
    return Terminal(*arguments, columns=columns, cwd=cwd, **environment).end()


def no_word_is_cut(narrow: Shown, wide: Shown, but: Sequence[str] = ()) -> None:
    """Every word of the narrow screen is a word of a wide one: nothing was cut in its middle."""
    cut = narrow.words - wide.words - set(but)
    assert not cut, (sorted(cut), narrow.text)
