"""A command in a pseudo-terminal, and what a person would then see on its screen."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import sys
import termios
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pexpect.fdpexpect
import pyte

from .patience import HANGS
from .terminal_server import TerminalServer

ROWS = 400  # so tall that nothing scrolls away


@dataclass(frozen=True)
class Shown:
    """The screen when the command had ended, its exit code, and all that was sent to the terminal."""

    lines: list[str]
    code: int | None
    raw: str

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def words(self) -> set[str]:
        """What stands between blanks and lines of tables; digits are made alike, as times differ from run to run."""
        parts = re.split(r"[\s│┃┏┓┗┛┡┩├┤┼╇╈╭╮╰╯━─┬┴┳┻╺╸|\\]+", re.sub(r"\d+", "0", self.text))
        return {part for part in parts if part and not re.fullmatch(r"[-+=]+", part)}


def screen(sent: bytes, columns: int, code: int | None) -> Shown:
    """What a terminal shows that was sent these bytes."""
    drawn = pyte.Screen(columns, ROWS)
    pyte.ByteStream(drawn).feed(sent)
    lines = [line.rstrip() for line in drawn.display]
    while lines and not lines[-1]:
        lines.pop()
    return Shown(lines, code, sent.decode("utf-8", "replace"))


class Terminal:
    """`grpo-kit` with arguments in a terminal of so many columns.

    Args:
        server: starts it without the cost of imports; without one the command is started as a shell does it.
    """

    def __init__(
        self,
        *arguments: object,
        cwd: Path,
        columns: int = 80,
        server: TerminalServer | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.columns, self._server, self._seen = columns, server, b""
        words, extra = [str(a) for a in arguments], environment or {}
        if server is not None:
            descriptor, self._process = server.start(words, cwd, ROWS, columns, extra)
            self._child: pexpect.spawnbase.SpawnBase = pexpect.fdpexpect.fdspawn(descriptor, timeout=HANGS)
            return
        own = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "LC_ALL", "LC_CTYPE")
        inherited = {name: value for name, value in os.environ.items() if name not in own}
        self._child = pexpect.spawn(
            str(Path(sys.executable).with_name("grpo-kit")),
            words,
            dimensions=(ROWS, columns),
            cwd=str(cwd),
            env={**inherited, "TERM": "xterm-256color", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", **extra},
            timeout=HANGS,
        )
        self._process = self._child.pid

    def wait_for(self, pattern: str) -> None:
        """Until the output holds a pattern."""
        self._expect(pattern.encode())
        self._seen += self._child.before + self._child.after

    def _expect(self, pattern: object) -> None:
        try:
            self._child.expect(pattern)
        except pexpect.TIMEOUT:
            os.kill(self._process, signal.SIGKILL)
            shown = screen(self._child.before, self.columns, None)
            raise AssertionError(f"still running after {HANGS} s; on the screen:\n{shown.text[-2000:]}") from None

    def interrupt(self) -> None:
        """Ctrl-C, which the terminal's driver makes a signal."""
        self._child.send(b"\x03")

    def resize(self, columns: int) -> None:
        """Another width of the window; the driver sends SIGWINCH."""
        self.columns = columns
        fcntl.ioctl(self._child.child_fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))

    def end(self) -> Shown:
        """Until the command has ended."""
        self._expect(pexpect.EOF)
        self._seen += self._child.before
        if self._server is not None:
            self._child.close()
            code = self._server.wait(self._process)
        else:
            self._child.close()
            code = self._child.exitstatus
        return screen(self._seen, self.columns, code)


def assert_no_word_is_cut(narrow: Shown, wide: Shown, but: Sequence[str] = ()) -> None:
    """Every word of the narrow screen is a word of the wide one."""
    cut = narrow.words - wide.words - set(but)
    assert not cut, f"{sorted(cut)} in\n{narrow.text}"
