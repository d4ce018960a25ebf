"""Where a file is written before it takes its place, so that readers meet it whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def scratch_beside(target: Path) -> Path:
    """A new, empty file in the target's folder, for its content and then `os.replace`.

    The name cannot be known before, and nothing that stands there already is opened: a link left in a shared folder would
    lead the writer to any file of its user, and two writers of one name would mix their halves.
    """
    scratch = target.with_name(f"{target.name[:200]}.{secrets.token_hex(6)}.tmp")
    os.close(os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o666))
    return scratch


def write_whole(target: Path, text: str) -> None:
    """Write a text file, or leave the one of before. Text that is no Unicode (lone surrogates) is replaced by ``?``."""
    scratch = scratch_beside(target)
    try:
        scratch.write_text(text, encoding="utf-8", errors="replace")
        os.replace(scratch, target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
