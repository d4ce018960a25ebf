"""Answers in words, or in words and formulas: the form in which they are compared.

Words decide only where values cannot: a normal form drops what carries no meaning (articles, capitals, the full stop)
and keeps every brace, point, quote and operator, so that ``2^{n-1}`` never becomes ``2^n-1``.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ..read import vocabulary as V
from ..read.nouns import singular
from ..read.spelling import to_ascii, undoubled
from ..read.vocabulary import SHORT_WORDS

_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|mathrm|mathbf|mathit|mbox|hbox|emph|operatorname|boldsymbol|bm|rm"
    r"|overline|overrightarrow|widehat)\s*\{"
)
_LOOK = re.compile(
    r"\\(?:left|right|big|Big|bigg|Bigg|displaystyle|limits|q?quad|thinspace)(?![a-zA-Z])"
    r"|\\[,;:! ()\[\]]|[$~]"
)
_PIECE = re.compile(r"\\[A-Za-z]+|\\.|[^\W\d_]+|[0-9]+|\s+|.", re.DOTALL)
_SPELLINGS = {"\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\leq": "\\le", "\\geq": "\\ge", "\\neq": "\\ne",
              "\\leqslant": "\\le", "\\geqslant": "\\ge", "\\%": "%"}  # fmt: skip
_SYNONYMS = {
    "dne": "doesnotexist", "nosolutions": "nosolution", "therearenosolutions": "nosolution", "norealsolution": "nosolution",
    "norealsolutions": "nosolution", "thereisnosolution": "nosolution", "undefinedvalue": "undefined", "nosuch": "none",
    "infinitelymanysolutions": "infinitelymany", "realnumbers": "allrealnumbers", "allreals": "allrealnumbers",
    "无解": "nosolution", "無解": "nosolution", "解なし": "nosolution", "해가없다": "nosolution", "无实数解": "nosolution",
    "нетрешений": "nosolution", "keinelösung": "nosolution", "aucunesolution": "nosolution", "pasdesolution": "nosolution",
    "sinsolución": "nosolution", "不存在": "doesnotexist", "是": "yes", "否": "no", "不是": "no", "正确": "true", "错误": "false",
    "はい": "yes", "いいえ": "no", "да": "yes", "нет": "no", "oui": "yes", "non": "no", "ja": "yes", "nein": "no", "sí": "yes",
    "全体实数": "allrealnumbers", "所有实数": "allrealnumbers", "impossible": "impossible",
}  # fmt: skip
NAMED = {"allrealnumbers": "\\mathbb{R}", "emptyset": "\\emptyset", "nosolution": "\\emptyset", "空集": "\\emptyset",
         "infinity": "\\infty", "positiveinfinity": "\\infty", "negativeinfinity": "-\\infty"}  # fmt: skip
_LIST = re.compile(r"\s*(?:,\s*and\b|,|;|\band\b)\s*")
_YES_NO = {"yes": "no", "no": "yes", "true": "false", "false": "true"}
_TAKEN_BACK = re.compile(r"\b(?:wait|actually|rather|sorry|correction|hmm)\b", re.I)
_DIGIT = re.compile("[0-9]")
_DIGITS_ONLY = re.compile(r"\s*[-+]?[0-9.,]+\s*")
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b")
_QUANTIFIERS = frozenset(["all", "every", "each", "any", "only", "exactly", "both", "the", "a", "an", "of"])
_DENIED = re.compile(
    r"\b(?:not|no|never|or|nor|neither|but|except|isn't|isnt|if|unless|maybe|perhaps|wrong|incorrect|false|lost|loses|"
    r"mistaken|excluded|least|fewest|less|fewer|last)\b",
    re.I,
)
_VERB = re.compile(r"(?:is|are|was|were|has|have|had|will|can|does|did|wins|won|gets|got|ran|runs|takes|took|makes)\b")
_PREDICATE = re.compile(r"\b(?:is|are|was|were|be|called)\s+")
# Nouns that only say what kind of thing an adjective describes.
_KINDS = frozenset(
    V.words(
        "function functions number numbers integer integers solution solutions curve graph triangle matrix series sequence"
    )
)


@lru_cache(maxsize=256)
def pieces(text: str) -> tuple[str, ...]:
    """The text as pieces without look: text commands and redundant braces are gone, every other brace stays."""
    found: list[str] = []
    opened: list[tuple[bool, int]] = []  # per open brace: whether it belongs to a text command, and where it stands
    text = _LOOK.sub(" ", undoubled(to_ascii(text)))
    position = 0
    while position < len(text):
        command = _TEXT.match(text, position)
        if command is not None:
            opened.append((True, -1))
            position = command.end()
            continue
        match = _PIECE.match(text, position)
        assert match is not None
        position = match.end()
        piece = _SPELLINGS.get(match[0], match[0])
        if piece == "{":
            opened.append((False, len(found)))
            found.append("{")
        elif piece == "}" and opened:
            upright, start = opened.pop()
            if not upright:
                _close(found, start)
        elif piece.isspace():
            found.append(" ")
        else:
            found.append(piece)
    return tuple(found)


def _close(found: list[str], start: int) -> None:
    """Close a group; braces around one letter, digit or command say nothing: ``x^{2}`` is ``x^2``."""
    if len(found) - start > 8:  # not looked through, so that nested groups stay linear
        found.append("}")
        return
    inner = [piece for piece in found[start + 1 :] if piece != " "]
    single = len(inner) == 1 and (len(inner[0]) == 1 or inner[0].startswith("\\"))
    if single or not inner:
        found[start:] = inner
    else:
        found.append("}")


def unwrapped(text: str) -> str:
    """Without text commands, dollars and spacing commands."""
    return "".join(pieces(text)).strip()


def normal(text: str) -> str:
    """The normal form of an answer in words: no articles, capitals, spaces, nor punctuation at the end of words."""
    parts = pieces(text)
    kept: list[str] = []
    for index, part in enumerate(parts):
        if part == " ":
            continue
        before, after = (_neighbour(parts, index, step) for step in (-1, 1))
        if _is_silent(part, before, after):
            continue
        if kept and kept[-1][-1].isdigit() and part[0].isdigit():
            kept.append(" ")
        kept.append(part.lower() if len(part) > 2 or part.lower() in SHORT_WORDS else part)
    plain = "".join(kept[2:] if [k.lower() for k in kept[:2]] == ["it", "is"] else kept)
    return _SYNONYMS.get(plain, plain)


def _neighbour(parts: tuple[str, ...], index: int, step: int) -> str:
    index += step
    while 0 <= index < len(parts) and parts[index] == " ":
        index += step
    return parts[index] if 0 <= index < len(parts) else ""


def _is_word(piece: str) -> bool:
    return len(piece) > 1 and piece.isalpha()


def _is_silent(part: str, before: str, after: str) -> bool:
    """Whether a piece says nothing: an article, a full stop, a hyphen or quote beside a word."""
    if part.lower() in ("the", "an") or (part in ("a", "A") and _is_word(after)):
        return True
    if part == "?":
        return _is_word(before)
    if part in (".", ",", ":", ";"):
        return not (before[-1:].isdigit() and after[:1].isdigit())
    if part in ("st", "nd", "rd", "th"):
        return before[-1:].isdigit()
    if part in ("!", "-", "'", "`"):
        return _is_word(before) and (not after or _is_word(after) or after == "s")
    return part == '"' and (_is_word(before) or _is_word(after))


def same_words(gold: str, response: str) -> bool:
    """Whether two answers in words are the same; an empty normal form equals nothing."""
    one, two = normal(gold), normal(response)
    if not one or not two or (_DIGITS_ONLY.fullmatch(gold) and _ORDINAL.search(response)):
        return False  # an 8th is no 8
    if one in _YES_NO:
        return _same_choice(one, two, response)
    if one == two:
        return True
    parts = [sorted(normal(part) for part in _LIST.split(unwrapped(text))) for text in (gold, response)]
    if len(parts[0]) > 1 and all(parts[0]) and parts[0] == parts[1]:
        return True
    return _same_core(gold, response)


def _same_choice(gold: str, normal_response: str, response: str) -> bool:
    """Yes or no: the first word says it, and nothing behind it says the opposite."""
    if gold == normal_response:
        return True
    plain = unwrapped(response)
    first = re.match(r"\s*([A-Za-z]+)\s*(?:[,.;:!]|$)", plain)
    words = {word.lower() for word in re.findall(r"[A-Za-z]+", plain)}
    said = first is not None and first[1].lower() == gold
    return said and _YES_NO[gold] not in words and not _TAKEN_BACK.search(plain)


def core(text: str) -> list[str]:
    """The words that carry an answer: without quantifiers and a leading preposition, in the singular."""
    words = re.findall(r"[^\W_]+|[^\w\s.,;:!?]", unwrapped(text))
    words = words[1:] if len(words) > 1 and words[0].lower() in ("on", "in", "at") else words
    return [singular(word) if len(word) > 3 else word.lower() for word in words if word.lower() not in _QUANTIFIERS]


def _same_core(gold: str, response: str) -> bool:
    """``all primes`` and ``every prime``; ``ellipse`` and ``The graph is an ellipse``; ``Evelyn`` and what she has."""
    wanted = core(gold)
    if not wanted or not any(_is_word(word) for word in wanted) or len(response) > 400:
        return False
    plain = unwrapped(response)
    if core(response) == wanted:
        return True
    if _DENIED.search(plain) and not _DENIED.search(unwrapped(gold)):
        return False
    given = core(response)
    if given[: len(wanted)] == wanted:
        rest = plain[len(unwrapped(gold)) :].strip() if plain.lower().startswith(unwrapped(gold).lower()) else ""
        if _VERB.match(rest) or (len(wanted) == 1 and [w for w in given[1:] if w not in _KINDS] == []):
            return True
    if wanted[: len(given)] == given and len(given) == 1 and all(word in _KINDS for word in wanted[1:]):
        return True
    clauses = _PREDICATE.split(plain)
    return len(clauses) == 2 and core(clauses[1]) == wanted and len(clauses[0].split()) <= 8


def formulas_and_words(text: str) -> list[tuple[bool, str]] | None:
    """The text as runs of words (True) and of mathematics (False), or None when it is only one of both."""
    runs: list[tuple[bool, list[str]]] = []
    depth = 0
    for piece in _runs(text):
        wordy = depth == 0 and _is_word(piece.strip()) and not piece.startswith("\\")
        depth += piece.count("{") - piece.count("}")
        if runs and (runs[-1][0] == wordy or piece.isspace()):
            runs[-1][1].append(piece)
        else:
            runs.append((wordy, [piece]))
    joined = [(wordy, "".join(run).strip(" \t\n" if wordy else " \t\n,;.")) for wordy, run in runs]
    joined = [(wordy, run) for wordy, run in joined if run]
    return joined if len(joined) > 1 and any(wordy for wordy, _ in joined) else None


def _runs(text: str) -> list[str]:
    """Pieces with the text commands taken off and all other braces kept as they are."""
    found: list[str] = []
    opened: list[bool] = []
    text = _LOOK.sub(" ", undoubled(to_ascii(text)))
    position = 0
    while position < len(text):
        command = _TEXT.match(text, position)
        match = command or _PIECE.match(text, position)
        assert match is not None
        position = match.end()
        if command is not None:
            opened.append(True)
            found.append(" ")
        elif match[0] == "{":
            opened.append(False)
            found.append("{")
        elif match[0] == "}" and opened:
            if not opened.pop():
                found.append("}")
            else:
                found.append(" ")
        else:
            found.append(match[0])
    return found


def letters_only(text: str) -> bool:
    """Whether a text is nothing but letters and blanks, so that it can be a word as well as a product."""
    return not _DIGIT.search(text) and unwrapped(text).replace(" ", "").isalpha()
