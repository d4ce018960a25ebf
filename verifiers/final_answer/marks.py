"""The marks around an answer: dollars, brackets, bold, quotes, headings, arrows, ticks."""

from __future__ import annotations

import re

_PAIRS = (
    ("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("__", "__"), ("*", "*"), ("_", "_"),
    ("`", "`"), ("'", "'"), ('"', '"'), ("``", "''"), ("“", "”"), ("‘", "’"), ("«", "»"), ("„", "“"), ("「", "」"),
    ("『", "』"), ("【", "】"),
)  # fmt: skip
_BY_FIRST = {left[0]: tuple(pair for pair in _PAIRS if pair[0][0] == left[0]) for left, _ in _PAIRS}
_ANGLES = re.compile(r"<\s?([\w.+-]{1,30})\s?>")
_GLOSS = re.compile(
    r"([\d)}%])\s{0,3}\((?!(?:alpha|beta|gamma|delta|theta|lambda|sigma|omega|mod|phi|psi|rho|tau)\b)[A-Za-z]{3,}(?:[\s-][A-Za-z]+){0,4}\)$"
)
_DESCRIBED = re.compile(
    r"([\d}%])\s{0,3}(?:\\text\s?\{\s{0,3})?\((?:the )?(?:sum|total|product|number|count|maximum|minimum) of "
    r"(?:[A-Za-z' $}]|\\text\{){1,80}\)\}?$"
)
# Relations and arrows that introduce a value, and ticks and ends of proofs behind it.
_TEXT = r"\\(?:text|mathrm|mbox|textrm|textbf|textit)\s?\{\s{0,4}"
_BEFORE = re.compile(
    r"(?:\s|~|\\[,;:! ]|\\q?quad(?![A-Za-z])|[=≈≃≅≡∴⇒→⟹➜►▶✓✔✅☑]\ufe0f?|=>|->|:|："
    r"|\\(?:approx|sim|simeq|cong|equiv|doteq|therefore|implies|leadsto|Rightarrow|Longrightarrow|rightarrow"
    r"|longrightarrow|to|checkmark|thickapprox|approxeq)(?![A-Za-z])"
    rf"|{_TEXT}(?:exactly|precisely|equal to|merely|"
    r"roughly|approximately|approx\.?|about|around|circa|ca\.|or|so|thus|hence|therefore|is|equals|"
    r"i\.e\.|probably|likely|maybe|perhaps|final answer|answer|ans)\s{0,4}[:：,]?\s{0,4}\})++",
    re.I,
)
_ASIDE = r"(?:maybe|probably|exactly|approximately|approx\.?|exact|final|final answer|answer|correct|checked|qed|likely|perhaps)"
_BEHIND = re.compile(
    r"(?:\s|\\[,;:! ]|\\q?quad(?![A-Za-z])|[✓✔✅☑□■∎]\ufe0f?"
    r"|\\(?:checkmark|square|blacksquare|Box|qed)(?![A-Za-z])"
    rf"|{_TEXT}(?:\(?{_ASIDE}\)?\s{{0,4}}[.!]?|[✓✔✅])\s{{0,4}}\}}|\({_ASIDE}\))++$",
    re.I,
)


def bare(text: str) -> str:
    """An answer without the marks around it and without the full stop behind it."""
    text = text.strip()
    if text.startswith("<") and (match := _ANGLES.fullmatch(text)):  # and not the vector <1, 2>
        text = match[1]
    for _ in range(5):
        before = text
        text = text.strip("*").strip()
        for left, right in _BY_FIRST.get(text[:1], ()):
            if text.startswith(left) and text.endswith(right) and len(text) > len(left) + len(right):
                inner = text[len(left) : len(text) - len(right)]
                if left not in inner and right not in inner:
                    text = inner.strip()
        if text.endswith((".", ",", ";", ":", "。", "．", "，", "、")) and not text.endswith(
            ("...", "\\,", "\\;", "\\:", "m.")
        ):
            text = text.rstrip(".,;:。．，、").rstrip()
        if text.endswith("]") and not any(bracket in text[:-1] for bracket in "[](){}"):
            text = text[:-1].rstrip()  # "[answer: 72]"
        text = text.removesuffix("__") if not text.startswith("__") else text
        if text == before:
            break
    return text


def without_marks(content: str) -> str:
    """``\\approx 204 \\checkmark`` without what only introduces or confirms the value."""
    start = match.end() if (match := _BEFORE.match(content)) else 0
    rest = content[start:]
    # The end is looked at alone, because a search from every blank of a long text would be quadratic.
    tail = rest[-80:]
    at = next((i for i in range(len(tail)) if _starts_mark(tail[i]) and _BEHIND.match(tail, i)), None)
    shorter = rest if at is None else rest[: len(rest) - len(tail) + at]
    return shorter if shorter.strip(" $") else content


def without_gloss(content: str) -> str:
    """``3 (three)`` without the words in brackets behind it; ``1169 (sum of all such n)`` likewise."""
    match = _GLOSS.search(content[-60:]) or _DESCRIBED.search(content[-120:])
    return content[: len(content) - len(match[0])] + match[1] if match else content


def _starts_mark(character: str) -> bool:
    return character in " \\(✓✔✅☑□■∎\n\t"
