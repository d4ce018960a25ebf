"""The 25 instructions of IFEval (Zhou et al. 2023, arXiv:2311.07911, table 1) as checks of a text.

Each check takes the response and the row's arguments and says whether the instruction is followed. Counting is in one
pass; no pattern here can start over at every character of a long text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .language import SCRIPTS

Check = Callable[..., bool]
CHECKS: dict[str, Check] = {}


class InstructionError(ValueError):
    """A row whose instructions cannot be checked, whatever the response."""


def instruction(name: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        CHECKS[name] = check
        return check

    return register


def follows(name: str, response: str, arguments: Mapping[str, Any]) -> bool:
    """Whether ``response`` follows the instruction. An empty response follows none.

    Raises:
        InstructionError: there is no such instruction, or an argument is missing or of a wrong kind.
    """
    if name not in CHECKS:
        raise InstructionError(f"there is no instruction {name!r}; there are {', '.join(sorted(CHECKS))}")
    try:
        return bool(response.strip()) and CHECKS[name](
            response, **{k: v for k, v in arguments.items() if v is not None}
        )
    except (TypeError, AttributeError, ValueError) as error:
        raise InstructionError(f"{name}: its arguments {dict(arguments)!r:.200} do not fit: {error}") from None


def _compares(count: int, relation: str, threshold: float) -> bool:
    if relation not in ("less than", "at least"):
        raise ValueError(f"the relation must be 'less than' or 'at least', got {relation!r}")
    return count < threshold if relation == "less than" else count >= threshold


def _word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)


# -- keywords --------------------------------------------------------------------------------------------------------


@instruction("keywords:existence")
def _existence(response: str, keywords: list[str]) -> bool:
    lower = response.lower()
    return all(str(word).lower() in lower for word in keywords)


@instruction("keywords:frequency")
def _frequency(response: str, keyword: str, frequency: float, relation: str) -> bool:
    return _compares(response.lower().count(keyword.lower()), relation, frequency)


@instruction("keywords:forbidden_words")
def _forbidden(response: str, forbidden_words: list[str]) -> bool:
    return not any(_word(word).search(response) for word in forbidden_words)


@instruction("keywords:letter_frequency")
def _letter(response: str, letter: str, let_frequency: float, let_relation: str) -> bool:
    return _compares(response.lower().count(letter.lower()), let_relation, let_frequency)


# -- language and case -----------------------------------------------------------------------------------------------

_LETTERS = {"telugu": "\u0c00-\u0c7f", "kannada": "\u0c80-\u0cff", "malayalam": "\u0d00-\u0d7f", "gujarati": "\u0a80-\u0aff",
            "gurmukhi": "\u0a00-\u0a7f"}  # fmt: skip
# language -> (scripts, words or letters that tell it from the others of the same script)
LANGUAGES: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {
    code: (tuple(scripts.split("+")), frozenset(words.split()))
    for code, scripts, words in (
        ("en", "latin", "the and of to in is that it for with was are this you on as be have not"),
        ("es", "latin", "el los las y es una que por para con del se su más como está pero lo"),
        ("pt", "latin", "o os um uma não é em do da dos das com para que mais você são ao e"),
        ("fr", "latin", "le les des et est une un dans pour que qui pas sur avec ce du il elle nous"),
        ("de", "latin", "der die das und ist nicht ein eine mit zu den von auf für sich dem wir ich auch"),
        ("it", "latin", "il gli della di che è un per con non sono una nel anche più lo dei e"),
        ("pl", "latin", "i w nie na się z jest do że to jak dla po przez są co ale"),
        ("fi", "latin", "ja on ei se että hän oli ovat mutta kun myös tai minä sinä joka"),
        ("vi", "latin", "và của là có không được cho một những các với trong này người đã"),
        ("sw", "latin", "na ya wa ni kwa katika la za kuwa hii yake cha watu kama"),
        ("ru", "cyrillic", "и в не на что с это как по из для он она мы вы"),
        ("uk", "cyrillic", "і в не на що з це як та для він вона ми ви є"),
        ("bg", "cyrillic", "и в не на че с това как за от са се да е"),
        ("ar", "arabic", "في من على إلى أن هذا التي الذي هو هي ما مع لا كان"),
        ("fa", "arabic", "و در به از که این را با است برای آن های می یک"),
        ("ur", "arabic", "اور کے میں کی ہے کا سے کو پر یہ ہیں نے ایک"),
        ("hi", "devanagari", "है और के में की का से को पर यह हैं ने एक"),
        ("mr", "devanagari", "आहे आणि च्या मध्ये या ते हे आहेत एक नाही"),
        ("ne", "devanagari", "छ र को मा हो छन् यो लाई पनि गर्न एक"),
        ("ja", "kana+han", ""),
        ("zh", "han", ""),
        ("ko", "hangul", ""),
        ("he", "hebrew", ""),
        ("el", "greek", ""),
        ("th", "thai", ""),
        ("bn", "bengali", ""),
        ("ta", "tamil", ""),
        ("te", "telugu", ""),
        ("kn", "kannada", ""),
        ("ml", "malayalam", ""),
        ("gu", "gujarati", ""),
        ("pa", "gurmukhi", ""),
    )
}
_PATTERNS = {name: re.compile(f"[{letters}]") for name, letters in (SCRIPTS | _LETTERS).items()}


def is_language(text: str, language: str) -> bool:
    """Whether a text is written in a language: by its script, and by common words where languages share one.

    A text in the right script without a common word of any language of it is taken for the wanted one: too little is
    known to deny it.
    """
    if language not in LANGUAGES:
        raise ValueError(f"there is no language {language!r}; there are {', '.join(LANGUAGES)}")
    scripts, words = LANGUAGES[language]
    letters = sum(map(str.isalpha, text))
    if not letters:
        return False
    own = sum(character.isalpha() for name in scripts for character in _PATTERNS[name].findall(text))
    if own < 0.5 * letters or (language == "ja" and _PATTERNS["kana"].search(text) is None):
        return False
    if not words:
        return True
    found = [word.strip(".,;:!?\"'()«»*“”„¿¡،؛؟।") for word in text.lower().split()]
    counts = {
        other: sum(word in theirs for word in found)
        for other, (script, theirs) in LANGUAGES.items()
        if script == scripts
    }
    return counts[language] == max(counts.values())


@instruction("language:response_language")
def _language(response: str, language: str) -> bool:
    return is_language(response, language.partition("-")[0])


@instruction("change_case:english_capital")
def _capital(response: str) -> bool:
    return response.isupper() and is_language(response, "en")


@instruction("change_case:english_lowercase")
def _lowercase(response: str) -> bool:
    return response.islower() and is_language(response, "en")


@instruction("change_case:capital_word_frequency")
def _capital_words(response: str, capital_frequency: float, capital_relation: str) -> bool:
    words = (word.strip(".,;:!?\"'()[]{}*_`“”‘’-") for word in response.split())
    return _compares(sum(word.isupper() for word in words), capital_relation, capital_frequency)


# -- length ----------------------------------------------------------------------------------------------------------

_STOP = re.compile(r"(?<![.!?。！？])[.!?。！？]++[\"')\]”’*_]{0,4}(?=\s|$)|[。！？]")
_ABBREVIATION = re.compile(r"\b(?:(?i:mr|mrs|ms|dr|prof|st|vs|e\.g|i\.e|jr|sr|approx)|[A-Z])$")


@instruction("length_constraints:number_sentences")
def _sentences(response: str, num_sentences: float, relation: str) -> bool:
    return _compares(count_sentences(response), relation, num_sentences)


def count_sentences(text: str) -> int:
    """Stretches of text that end in a full stop, a question or an exclamation mark, or with the text."""
    count = start = 0
    for stop in _STOP.finditer(text):
        if stop[0] == "." and _ABBREVIATION.search(text[max(start, stop.start() - 8) : stop.start()]):
            continue
        count += any(map(str.isalnum, text[start : stop.start()]))
        start = stop.end()
    return count + any(map(str.isalnum, text[start:]))


@instruction("length_constraints:number_words")
def _words(response: str, num_words: float, relation: str) -> bool:
    return _compares(len(re.findall(r"\w+", response)), relation, num_words)


@instruction("length_constraints:number_paragraphs")
def _paragraphs(response: str, num_paragraphs: int) -> bool:
    return _filled(re.split(r"\s?\*\*\*\s?", response)) == num_paragraphs


def _filled(parts: list[str]) -> int:
    """How many parts there are, an empty first or last one left aside; -1 if one between is empty."""
    inner = parts[bool(parts) and not parts[0].strip() :]
    inner = inner[: len(inner) - (bool(inner) and not inner[-1].strip())]
    return len(inner) if all(part.strip() for part in inner) else -1


@instruction("length_constraints:nth_paragraph_first_word")
def _first_word(response: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    paragraphs = [part for part in response.split("\n\n") if part.strip()]
    if len(paragraphs) != num_paragraphs or not 0 < nth_paragraph <= num_paragraphs:
        return False
    word = re.match(r"[\w'’-]*", paragraphs[nth_paragraph - 1].strip().lstrip("\"'“‘*_"))
    return word is not None and word[0].lower() == first_word.lower()


# -- content and format ----------------------------------------------------------------------------------------------


@instruction("detectable_content:number_placeholders")
def _placeholders(response: str, num_placeholders: int) -> bool:
    return len(re.findall(r"\[[^\[\]\n]*\]", response)) >= num_placeholders


@instruction("detectable_content:postscript")
def _postscript(response: str, postscript_marker: str) -> bool:
    letters = [letter for letter in postscript_marker.lower() if letter.isalpha()]
    marker = r"\.\s?".join(map(re.escape, letters)) if letters else re.escape(postscript_marker)
    return re.search(rf"(?<!\w){marker}", response.lower()) is not None


@instruction("detectable_format:number_bullet_lists")
def _bullets(response: str, num_bullets: int) -> bool:
    return len(re.findall(r"^[ \t]*(?:\*(?!\*)|-)[ \t]*[^\s*-]", response, re.MULTILINE)) == num_bullets


@instruction("detectable_format:constrained_response")
def _constrained(response: str) -> bool:
    return any(f"My answer is {choice}." in response for choice in ("yes", "no", "maybe"))


@instruction("detectable_format:number_highlighted_sections")
def _highlights(response: str, num_highlights: int) -> bool:
    double = [text for text in re.findall(r"\*\*([^\n*]+)\*\*", response) if text.strip()]
    rest = re.sub(r"\*\*[^\n*]+\*\*", " ", response)
    single = [text for text in re.findall(r"\*([^\n*]+)\*", rest) if text.strip()]
    return len(double) + len(single) >= num_highlights


@instruction("detectable_format:multiple_sections")
def _sections(response: str, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(rf"{re.escape(section_spliter)}\s?\d+", response)) >= num_sections


@instruction("detectable_format:json_format")
def _json(response: str) -> bool:
    from .format import ParsedJson, read_json

    return isinstance(read_json(response), ParsedJson)


@instruction("detectable_format:title")
def _title(response: str) -> bool:
    return any(title.strip() for title in re.findall(r"<<([^\n<>]+)>>", response))


@instruction("combination:two_responses")
def _two(response: str) -> bool:
    parts = response.split("******")
    filled = [part.strip() for part in parts if part.strip()]
    return _filled(parts) == 2 and filled[0] != filled[1]


@instruction("combination:repeat_prompt")
def _repeat(response: str, prompt_to_repeat: str) -> bool:
    return response.strip().lower().startswith(prompt_to_repeat.strip().lower())


@instruction("startend:end_checker")
def _ending(response: str, end_phrase: str) -> bool:
    return response.strip().strip('"').lower().endswith(end_phrase.strip().lower())


@instruction("startend:quotation")
def _quotation(response: str) -> bool:
    text = response.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


@instruction("punctuation:no_comma")
def _no_comma(response: str) -> bool:
    return "," not in response


def read_row(columns: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(instruction, arguments) of a row with ``instruction_id_list`` and ``kwargs``, the public columns.

    Raises:
        InstructionError: they are missing, of different lengths, or name what is not there.
    """
    names, arguments = columns.get("instruction_id_list"), columns.get("kwargs")
    names = json.loads(names) if isinstance(names, str) else names
    arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
    if not isinstance(names, (list, tuple)) or not names:
        raise InstructionError(
            "ifeval needs 'instruction_id_list' and 'kwargs', in the answer or in the task's columns"
        )
    arguments = [{}] * len(names) if arguments is None else list(arguments)
    arguments = [json.loads(entry) if isinstance(entry, str) else dict(entry or {}) for entry in arguments]
    if len(arguments) != len(names):
        raise InstructionError(
            f"{len(names)} instructions and {len(arguments)} kwargs: they belong together one by one"
        )
    read = [
        (str(name), {k: v for k, v in entry.items() if v is not None})
        for name, entry in zip(names, arguments, strict=True)
    ]
    for name, entry in read:
        follows(name, "x", entry)  # the row is read whole before any response is judged
    return read
