"""``<answer>...</answer>``."""

from __future__ import annotations

import re

_TAG = re.compile(r"</?answer>", re.I)


def tags(text: str) -> list[str]:
    """The contents of every closed answer tag, in order; of several openings the last one counts."""
    found, opened = [], -1
    for match in _TAG.finditer(text):
        if match[0][1] != "/":
            opened = match.end()
        elif opened >= 0:
            found.append(text[opened : match.start()].strip())
            opened = -1
    return found
