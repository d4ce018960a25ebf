"""How answers are announced, as tables by language. Every pattern is bounded, so that a search is linear."""

from __future__ import annotations

import re
from collections import deque

KEPT = 64  # announcements of one pattern, counted from the end

# English: "the (final) answer (to the question) (choice) is", "Answer:", "#### 5", "A: 5", "Answer - 5", "## Answer".
_VERBS = (
    r"(?:\b(?:is|are|was|equals|comes (?:out )?to|works out to)\b|\b(?:must|should|would|will|can only|has to|ought to|"
    r"seems to|appears to|turns out to|needs to)[ \t]{1,3}(?:be|equal)\b|\b(?:seems|looks) like\b|[:：=])"
)
_CJK_IS = r"[ \t*_】\]」]{0,6}(?:(?<=[】\]」])|[:：=]|是|为|為|は|应为|应该是|應為|等于|即)[ \t]{0,3}[:：]?"
_IS = r"[ \t*_]{0,6}(?:\b(?:VERBS)\b|[:：=])[ \t]{0,3}:?"


def _is(*verbs: str) -> str:
    return _IS.replace("VERBS", "|".join(verbs))


# Words of which one must occur (lower case), and the pattern that is looked for then: most texts are of one language.
_ANNOUNCEMENTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("####",), r"####[ \t]{0,9}"),
    (
        ("answer",),
        rf"(?:\bfinal[ \t]{{1,3}})?\b_{{0,2}}answers?(?:\b|(?=_))(?:[ \t]{{1,3}}(?:choice|option))?"
        rf"(?:[ \t]{{1,3}}(?:(?:to|for)\b[^.\n:$]{{1,80}}?"
        rf"|(?:that )?(?:we|you)(?:'re| are)? (?:looking for|seek|want|need|found|get|obtain)))?"
        rf"[ \t*_`]{{0,9}}{_VERBS}[ \t]{{0,9}}[:：]?"
        r"|\bfinal answer\b[ \t*_#]{0,6}\n"
        r"|^[ \t#*_]{0,9}(?:final[ \t]{1,3})?answers?[ \t*_#]{0,6}\n"
        r"|^[ \t*_#>\[]{0,9}(?:final[ \t]{1,3})?answers?[ \t*_]{1,4}(?:-|–|—|→|=>|->)[ \t]{1,4}"
        r"|\bfinal answers?[ \t*_]{0,4}(?=\$|\\\()|^[ \t*]{0,6}answers?[ \t*_]{0,4}(?=\$|\\\()",
    ),
    (
        ("a:", "a :", "a：", "ans:", "ans :", "ans：", "ans."),
        r"^[ \t*]{0,6}(?-i:A|[Aa]ns|ANS)(?:[ \t]?[:：]|(?<=ns)\.(?=[ \t]))",
    ),
    (("答案",), rf"(?:最终答案|最終答案|答案){_CJK_IS}"),
    (("答",), r"(?:^|(?<=[。\n]))[ \t*【]{0,4}答[】*]{0,3}[:：]"),
    (("答え", "解答", "正解", "回答"), rf"(?:答え|解答|正解|回答){_CJK_IS}"),
    (("답",), r"(?:정답|답안|답)[ \t*_]{0,6}(?:[:：=]|은|는)[ \t]{0,3}[:：]?"),
    (("réponse",), r"\bréponse\b(?:[ \t]{1,3}(?:finale|correcte|exacte))*+" + _is("est", "serait")),
    (
        ("antwort", "lösung", "endergebnis"),
        r"\b(?:antwort|lösung|endergebnis)\b"
        + _is("ist", "lautet", "wäre", "beträgt")
        + r"|\b(?:ist|lautet) die (?:richtige )?antwort\b[ \t]{0,3}:?",
    ),
    (("respuesta",), r"\brespuesta\b(?:[ \t]{1,3}(?:final|correcta))*+" + _is("es", "sería")),
    (("resposta",), r"\bresposta\b(?:[ \t]{1,3}(?:final|correta|certa))*+" + _is("é", "seria")),
    (("risposta",), r"\brisposta\b(?:[ \t]{1,3}(?:finale|corretta|giusta|esatta))*+" + _is("è", "sarebbe")),
    (("ответ",), r"\bответ(?:ом)?\b[ \t*_]{0,6}(?:\b(?:является|равен|это|будет)\b|[:：=—–-])[ \t]{0,3}:?"),
    (
        ("إجابة", "اجابة", "جواب"),
        r"(?:الإجابة|الاجابة|الجواب|إجابة|اجابة|جواب)(?:[ \t]{1,3}(?:النهائية|الصحيحة|النهائي|الصحيح))*+[ \t*_]{0,6}"
        r"(?:هي|هو|[:：=])[ \t]{0,3}:?",
    ),
    (("antwoord",), r"\bantwoord\b" + _is("is")),
    (("odpowiedź",), r"\bodpowiedź\b" + _is("to")),
    (("cevap",), r"\bcevap\b[ \t*_]{0,6}[:：=][ \t]{0,3}"),
    (("đáp án",), r"đáp án[ \t*_]{0,6}(?:là\b|[:：=])[ \t]{0,3}"),
    (("उत्तर",), r"उत्तर[ \t*_]{0,6}(?:[:：=]|है)[ \t]{0,3}"),
)
_COMPILED = tuple((words, re.compile(pattern, re.I | re.M)) for words, pattern in _ANNOUNCEMENTS)
_OF_ASCII = tuple(entry for entry in _COMPILED if any(word.isascii() for word in entry[0]))
_AT_START = re.compile("|".join(pattern for _, pattern in _ANNOUNCEMENTS), re.I | re.M)


def announced(text: str, start: int = 0) -> list[tuple[int, int]]:
    """Where an answer is announced behind ``start``, in any language, in no order."""
    lower = text[start:].lower()
    found: list[tuple[int, int]] = []
    for words, pattern in _OF_ASCII if lower.isascii() else _COMPILED:
        for word in words:
            if word in lower:
                found += [match.span() for match in deque(pattern.finditer(text, start), maxlen=KEPT)]
                break
    return found


def announced_at_start(text: str) -> int:
    """Where the announcement ends that a text begins with; -1 when it begins with none."""
    match = _AT_START.match(text)
    return match.end() if match else -1


# After a box only a new verdict counts: "the correct answer is 7", "**Answer: D**"; not "we check our answer: ...".
DECISIVE = re.compile(
    r"####|\bfinal\b|\bcorrect\b|\bthe answers?\b|答案|(?:^|\n)[^\w\n]{0,12}(?:answers?|A|Ans)\b[^\n]*$"
    r"|答え|正解|정답|\b(?:réponse|antwort|respuesta|resposta|risposta|ответ)\b",
    re.I,
)
# A correction is an announcement too: "No, it is 4."
CORRECTED = re.compile(
    r"(?:^|[.!?…\n])[ \t]{0,4}(?:no|wait|actually|sorry|correction|oops)\b[ \t]{0,3}[,:.!–—-]{1,3}[ \t]{0,3}"
    r"(?:(?:it|that|the answer|this)(?:'s|[ \t]{1,3}(?:is|should be|must be))[ \t]{1,3}(?:actually[ \t]{1,3})?)",
    re.I,
)
# How a letter is chosen besides.
LETTER_ANNOUNCED = re.compile(
    r"\b(?:correct|right|best)[ \t]{1,3}(?:option|choice|one|statement|letter|alternative|response)\b[ \t*_]{0,6}"
    rf"{_VERBS}[ \t]{{0,9}}:?"
    rf"|\b(?:option|choice)s?\b[ \t*_]{{0,6}}{_VERBS}[ \t]{{0,9}}:?"
    r"|\b(?:I|we)(?:'d|'ll)?[ \t]{1,3}(?:(?:would|will|therefore|thus|must|should)[ \t]{1,3})?"
    r"(?:choose|chose|pick|picked|select|selected|go with|opt for)\b[ \t]{1,3}"
    r"|\b(?:so|thus|hence|therefore)\b,?[ \t]{1,3}(?:it|that|this)(?:'s|[ \t]{1,3}(?:is|must be|has to be))[ \t]{1,3}"
    r"|(?:^|(?<=[.!?\n]))[ \t]{0,3}(?:so|thus|hence|therefore)\b[,:]?[ \t]{1,3}"
    r"(?=[(*]{0,3}(?-i:[A-Z])[)*]{0,3}[ \t]{0,3}(?:[.!]|$|\n))"
    r"|\b(?:that|this|which|and)[ \t]{1,3}(?:only[ \t]{1,3})?leaves[ \t]{1,3}(?:us[ \t]{1,3}with[ \t]{1,3})?(?:only[ \t]{1,3})?"
    r"|(?:(?:故|应|應|所以|因此|答案|因而)(?:选择|選擇|选|選)|选择|選擇|选项(?:是|为)|選)[ \t]{0,3}[:：]?"
    r"|(?<![不非没可以必供单多挑备])选[ \t]{0,3}[:：]?(?=[ \t(（]{0,3}[A-Za-z])"
    r"|\bI(?:'d| would)?[ \t]{1,3}(?:think|believe|guess|say)[ \t]{1,3}(?:that[ \t]{1,3})?it(?:'s|[ \t]{1,3}is)[ \t]{1,3}"
    r"|\bI(?:'m|[ \t]{1,3}am)[ \t]{1,3}going with[ \t]{1,3}"
    r"|\b(?:selected|chosen)(?:[ \t]{1,3}(?:answer|option|choice))?[ \t]?[:：]"
    r"|(?:^|(?<=[.!?\n]))[ \t]{0,3}(?:it|that)(?:'s|[ \t]{1,3}(?:is|must be|has to be|can only be))[ \t]{1,3}"
    r"|\bI would say[ \t]{1,3}"
    r"|\b(?:match(?:es)?|corresponds? to|which is|this is|that is)[ \t]{1,3}(?:option|choice|answer)[ \t]{1,3}"
    r"|\b(?:l'opzione|a (?:alternativa|opção)|l'option|de) "
    r"(?:corretta|correta|certa|correcte|juiste|exacta) (?:è|é|est|is)\b[ \t]{0,3}:?"
    r"|答案[ \t]{1,3}(?=[A-Z(（])|\b(?:richtig|korrekt)[ \t]{1,3}ist\b"
    r"|\bla (?:opción|alternativa) (?:correcta )?(?:es|:)|\bla bonne réponse est|\bl'option correcte est"
    r"|\bправильный (?:ответ|вариант)\b[ \t]{0,3}[:—–-]?",
    re.I,
)
