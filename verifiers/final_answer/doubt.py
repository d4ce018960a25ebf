"""What takes an answer back: denials, other people's opinions, conditions, several guesses, later corrections."""

from __future__ import annotations

import re

# Before "the answer is", in the same clause: it is not the author who says so, or it is said to be false.
_FRAME = re.compile(
    r"\b(?:don't|do not|doesn't|does not|didn't|did not|can't|cannot|never|not|isn't|hardly)\s{1,3}(?:\w+\s{1,3}){0,2}"
    r"(?:think|believe|say|claim|agree|accept|sure|certain|true|case|clear|convinced|mean|imply|follow|correct|right)\b"
    r"|(?<!no )(?<!any )(?<!without )(?<!without a )\bdoubts?\b"
    r"|\b(?:refuses?|hesitate|nothing|no evidence|no reason|doubted|deny|denies|denied|false|untrue|wrong|incorrect|wrongly|"
    r"incorrectly|mistaken|mistakenly|initially|originally|"
    r"at first|previously|I thought|unlikely|impossible|myth|misconception|absurd|mistake|error|fallacy|"
    r"nobody|no one|none|cannot be|can't be|pretend|imagine|hypothetical|hypothetically|unclear|unsure)\b"
    r"|\b(?:many|some|most|few|others?|students?|people|one|someone|somebody|they|he|she|friend|teacher|everyone|"
    r"tom|you)\s{1,3}(?:\w+\s{1,3}){0,2}?(?:thinks?|thought|says?|said|claims?|claimed|believes?|believed|guess|guesses|"
    r"guessed|argues?|argued|assumes?|suggests?|suggested|expects?|expected)\b"
    # "those who said yes are the answer": the copula shows that what was said has ended before
    r"(?![^\n]*\b(?:is|are|was|were)\s{1,3}(?:the\s{1,3}|our\s{1,3}|my\s{1,3})?(?:(?:final|correct|right)\s{1,3})?$)"
    r"|\b(?:if|suppose|supposing|assume|assuming|unless|whether|were|should)\b(?![^\n]*\bthen\b)[^,;\n]*$"
    r"|\b(?:first|initial|initially|previous|original|originally|naive|earlier|tentative|old|his|her|their|"
    r"student's|expected|trap|tempting|common|popular)\s{0,3}(?:final\s{1,3})?$",
    re.I,
)
_SOURCE = re.compile(
    r"(?:\baccording to (?!the\b|our\b|this\b|these\b|my\b|above\b|what\b)\w+[^.\n]{0,30}|\b(?:says|said|claims) (?-i:[A-Z])\w*)"
    r",\s{0,3}(?:the\s{1,3})?(?:final\s{1,3})?$",
    re.I,
)
_ANOTHER = re.compile(
    r"(?:[\s.!,;:?*_$)`\]}]|\\[)\]]){0,8}"
    r"(?:(?:(?:or|alternatively|maybe|perhaps|possibly|otherwise)\b[\s,]{1,3}){1,3}"
    r"|(?:(?:hmm|wait|actually|sorry|oh|rather|correction|oops|no)[\s]{0,2}[,.!:—–-]{1,3}\s{0,3}){1,4}"
    r"|(?:(?:hmm|wait|no|oh|sorry|oops)\b[\s,.!:—–-]{1,4}){1,3}"
    r"(?:(?:actually|rather|make that|make it)\b[\s,:—–-]{1,4}|(?:hmm|wait|no|oh|sorry|oops)\b[\s,.!:—–-]{1,4}))"
    r"(?:(?:it's|it is|is it|is that|that's|that is|make that|the answer is|option|choice)\s{1,3}(?:actually\s{1,3})?)?"
    r"(?:\$|\\\(|\*\*|\\boxed\{|[(-]){0,3}"
    r"(?:\d|\\[a-z]|(?-i:[A-J])(?=[)\].,;?!*\n]|\s{0,3}$))",
    re.I,
)
_CONNECTIVE = re.compile(r"\b(?:so|then|but|hence|therefore|thus|and|because|since|consequently)\b", re.I)

NEGATED = re.compile(
    r"[\s*_$:：`\"'“(]{0,12}(?:(?:definitely|certainly|clearly|simply|probably|actually|surely|also)\s{1,3})?"
    r"(?:not\b(?!\s{1,3}only)|n't\b|never\b|neither\b|incorrect\b|wrong\b|false\b(?=\s{1,3}that)|no longer\b|"
    r"anything but\b|far from\b|(?:\w+\s{1,3})?(?:thought|said|believed|supposed|assumed|claimed|rumou?red)\s{1,3}to be\b|"
    r"不是|不为|并非|nicht\b|ne\b|pas\b|no es\b|não\b|non\b|не\b)",
    re.I,
)
IGNORANCE = re.compile(
    r"\b(?:I|we)\s{1,3}(?:really\s{1,3}|just\s{1,3}|still\s{1,3})?"
    r"(?:don't|do not|cannot|can't|could not|couldn't|am unable to|are unable to)\s{1,3}"
    r"(?:\w+\s{1,3})?(?:know|say|tell|determine|find|solve|answer)\b"
    r"|\bno idea\b|\bnot (?:really )?(?:sure|certain)\b|\bunsure\b|\bidk\b|不知道|无法确定",
    re.I,
)
_OR = (
    r"(?:or|maybe|perhaps|possibly|alternatively|alternately|otherwise|else|either|might be|may be|could be|could also|"
    r"possibly|if not|或者?|还是|また?は|もしくは|또는|혹은|oder|vielleicht|ou|peut-être|o|quizás?|tal vez|ou|talvez|oppure|"
    r"forse|или|может|أو)"
)
OTHER_GUESS = re.compile(rf"(?<![\w-]){_OR}(?![\w-])(?!\s{{1,3}}(?:so|equivalently|rather|simply))|[|¦]", re.I)
CONDITION = re.compile(
    r"\b(?:if|when(?!\s{1,3}(?:rounded|simplified|reduced|expressed))|whenever|unless|provided|assuming|depending|"
    r"otherwise|in case|for (?:even|odd|some|any|all|every|each value)|wenn|falls|если|sinon)\b|如果|若|のとき",
    re.I,
)
DENIES = re.compile(
    r"(?<!\w)(?:is|was|are|were|be|seems|looks)?\s{0,3}(?:not|n't|never|no longer|wrong|incorrect|false|invalid|"
    r"impossible|mistaken)(?!\w)|\b(?:isn't|aren't|wasn't|doesn't|don't|can't|cannot|fails?|ruled out)\b|"
    r"ではな|じゃな|아닙|아니|不对|错误|不正确",
    re.I,
)
# Before a value: it is a bound, or what the answer is said not to be. "At most 3 colours may be used" states a 3, so that
# these bounds count only where it is the answer that is bounded.
_BOUNDED = re.compile(
    r"(?:\b(?:(?:more|less|fewer|greater|larger|smaller|bigger|higher|lower|other|different|longer|shorter)\s{1,3}"
    r"(?:than|from)(?:\s{1,3}or equal to)?|(?:anything|everything|any \w{1,20}|all \w{1,20})\s{1,3}(?:but|except)|"
    r"except(?: for)?|besides|far from|"
    r"(?:do|does|did|can|could|will|would|should|must|may)\s?(?:not|n't)\s{1,3}(?:be|equal|exceed|reach|surpass)|"
    r"cannot\s{1,3}(?:be|equal|exceed|reach|surpass)|exceeds?|surpass(?:es)?|differs from|not exceeding)"
    r"|\b(?:answer|result|it|that|this)(?:'s|\s{1,3}(?:is|was|are|must be|should be|would be|will be|can be|has to be))\s{1,3}"
    r"(?:always\s{1,3}|certainly\s{1,3})?(?:at (?:least|most)|up to|no (?:more|less|fewer) than|"
    r"(?:a )?multiples? of|divisible by)"
    r"|大于|小于|少于|多于|不到|超过)"
    r"(?:\s{1,3}(?:the|our|a|number|value|values|answer)){0,2}[\s$:*_]{0,6}(?:\\\(|\\\[)?\s{0,3}$",
    re.I,
)
_BOUND_WORDS = ("than", "from", "xcept", "but", "esides", "not", "n't", "xceed", "urpass", "t least", "t most", "p to", "no ",
                "ultiple", "ivisible", "大于", "小于", "少于", "多于", "不到", "超过")  # fmt: skip
_CONTRARY = re.compile(
    r"\b(?:maybe|perhaps|possibly|might|may|could|wrong|incorrect|not sure|unsure|not certain|actually|really|"
    r"should be|it is|it's|it was|the answer|another|also)\b",
    re.I,
)
# Directly behind the answer: "... is wrong", "That is not right.", "but that fails".
_TAKEN_BACK = re.compile(
    r"[\s$*_`)\]}.,;:!'\"”–—-]{0,12}(?:\\[)\]][\s.,;:!]{0,4})?"
    r"(?:(?:but|however|which|though|although|and|oh|no|wait|hmm|sorry|actually)[\s,.!]{1,4}){0,3}"
    r"(?:(?:that|this|it|which|he|the (?:above|previous|answer|value|box|result))(?:\s{1,3}(?:answer|value|one|result))?"
    r"\s{1,3})?"
    r"(?:(?:is|was|are|seems|looks|must be|turns out(?: to be)?|would be)\s{1,3}"
    r"(?:(?:obviously|clearly|actually|certainly|definitely|also|probably|of course)\s{1,3})?"
    r"(?:wrong|incorrect|false|mistaken|invalid|impossible(?! to\b)|a mistake|"
    r"not\s{1,3}(?:the\s{1,3})?(?:final\s{1,3})?"
    r"(?:correct|right|it|true|valid|possible(?! to\b)|answer|solution|what))\b"
    r"|(?:isn't|wasn't|can't be|cannot be)\s{1,3}(?:the\s{1,3})?(?:right|correct|it|true|answer|solution)\b"
    r"|(?:is|was)\s{1,3}(?!correct|right|the\b)[^.,;\n\d]{0,40}\b(?:wrong|incorrect)\b"
    r"|fails\b|(?:is|was|are|can be|must be)\s{1,3}(?:excluded|rejected|ruled out|discarded|eliminated)\b"
    r"|\(?(?:wrong|incorrect|false)\b\s{0,2}[).!]"
    r"|(?:does not|doesn't|did not|didn't)\s{1,3}(?:work|satisfy|fit|hold|match|check|solve)\b)",
    re.I,
)
_LATER = re.compile(
    r"(?:^|[.!?\n])[\s*_]{0,6}(?:(?:wait|no|hmm|oh|sorry|actually|but|honestly|well)[\s,.!—–-]{1,4}){0,3}"
    r"(?:(?:that|this|the (?:above|answer|value|result))(?:\s{1,3}(?:answer|value|one|result))?\s{1,3}"
    r"(?:is|was|must be)\s{1,3}(?:wrong|incorrect|false|not\s{1,3}(?:correct|right))\b"
    r"|(?:I|we)\s{1,3}(?:really\s{1,3})?(?:don't|do not)\s{1,3}know\b"
    r"|(?:I\s{1,3}am|I'm|we are|we're)\s{1,3}not\s{1,3}(?:sure|certain)\b"
    r"|(?:ignore|disregard|forget)\s{1,3}(?:that|this|the above|my)\b|scratch that\b|never mind\b)",
    re.I,
)


def framed(before: str) -> bool:
    """Whether the words before an announcement make it somebody else's, a supposition or a denial."""
    window = before[-120:]
    clause = window[1 + max(window.rfind(mark) for mark in ".!?;:,\n。！？；：，") :]
    start = 0
    for match in _CONNECTIVE.finditer(clause):
        start = match.end()
    if len(clause) - start > 3 and _FRAME.search(clause, start) is not None:
        return True
    return "," in window[-14:] and _SOURCE.search(window) is not None


def bounded(before: str) -> bool:
    """Whether the words before a box make its value a bound, or one that the answer does not have."""
    window = before[-80:]
    return any(word in window for word in _BOUND_WORDS) and _BOUNDED.search(window) is not None


def another_follows(after: str) -> bool:
    """Whether the next words offer another answer: "The answer is 5. Or maybe 6."."""
    return _ANOTHER.match(after) is not None


def doubted(aside: str) -> bool:
    """Whether an explanation that begins with "but" or the like says something else than what stands before it."""
    return bool(re.match(r"\W{0,4}(?:but|however|although|though|yet)\b", aside, re.I)) and bool(
        _CONTRARY.search(aside) or DENIES.search(aside)
    )


def taken_back(after: str, later: bool = True) -> bool:
    """Whether what follows an answer says that it is wrong, or, some ``later``, that the author does not know."""
    return _TAKEN_BACK.match(after) is not None or (later and _LATER.search(after[:400]) is not None)
