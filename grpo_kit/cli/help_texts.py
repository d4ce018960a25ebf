"""What commands have in common on the command line: examples below their help, and paths with a home folder in them."""

from __future__ import annotations

from pathlib import Path


def examples(*commands: str) -> str:
    """Lines below a command's help. Backspace alone on a line keeps them apart (click's sign for it)."""
    return "\b\n" + "\n".join([f"Example{'s' if len(commands) > 1 else ''}:", *(f"  {c}" for c in commands)])


def expanded(text: str) -> Path:
    """A path, ``~`` being the home folder also where the shell did not say so (quoted, or behind ``=``)."""
    return Path(text).expanduser()
