"""``<answer>...</answer>``."""

from __future__ import annotations

import re

_CLOSING = re.compile(r"</answer>", re.I)
_OPENING = re.compile(r"<answer>", re.I)


def tags(text: str) -> list[str]:
    """The contents of every closed answer tag, in order; of several openings the last one counts."""
    found, reached = [], 0
    for closing in _CLOSING.finditer(text):
        opened = -1
        for opening in _OPENING.finditer(text, reached, closing.start()):
            opened = opening.end()
        if opened >= 0:
            found.append(text[opened : closing.start()].strip())
        reached = closing.end()
    return found
