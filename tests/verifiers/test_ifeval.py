"""Instructions of IFEval: what follows them and what does not."""

import pytest

from grpo_kit.verifiers import VerifierError, get_verifier
from grpo_kit.verifiers.instructions import CHECKS, InstructionError, count_sentences, follows

AT_LEAST = {"relation": "at least"}
LESS = {"relation": "less than"}
# instruction, arguments, responses that follow it, responses that do not
TABLE = [
    ("keywords:existence", {"keywords": ["cat", "dog"]}, ["A Cat and a dog."], ["A cat.", ""]),
    ("keywords:frequency", {"keyword": "sun", "frequency": 2, **AT_LEAST}, ["sun, Sun"], ["sun"]),
    ("keywords:frequency", {"keyword": "sun", "frequency": 2, **LESS}, ["sun", "none"], ["sun sun"]),
    ("keywords:forbidden_words", {"forbidden_words": ["art"]}, ["A party started."], ["The art.", "ART"]),
    ("keywords:letter_frequency", {"letter": "q", "let_frequency": 2, "let_relation": "at least"}, ["Qq"], ["q"]),
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 1, "let_relation": "less than"}, ["x"], ["#x"]),
    ("language:response_language", {"language": "de"}, ["Das ist nicht der Weg, den ich kenne."], ["It is not the way."]),
    ("language:response_language", {"language": "ru"}, ["Это не так, как мы думали."], ["Це не так, як ми думали і є.", "a"]),
    ("language:response_language", {"language": "hi"}, ["यह एक किताब है और वह मेज पर है।"], ["हे एक पुस्तक आहे आणि ते", "book"]),
    ("language:response_language", {"language": "ko"}, ["안녕하세요"], ["こんにちは"]),
    ("language:response_language", {"language": "ja"}, ["これは本です"], ["这是一本书"]),
    ("language:response_language", {"language": "te"}, ["ఇది ఒక పుస్తకం"], ["This is a book."]),
    ("length_constraints:number_sentences", {"num_sentences": 3, **AT_LEAST}, ["A b. C d! E f?"], ["Dr. A and e.g. b. C."]),
    ("length_constraints:number_sentences", {"num_sentences": 3, **LESS}, ["Pi is 3.14. Yes..."], ["One went. Two came. No."]),
    ("length_constraints:number_words", {"num_words": 3, **LESS}, ["two words"], ["now three words"]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, ["a\n***\nb", "***\na\n***\nb"], ["a", "a\n***\n***\nb"]),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "weak"},
     ["a\n\nWeak, b", "a\n\n\n\n\"weak\" b"], ["weak\n\nb", "a\n\nweak\n\nc", "a\n\nweaker"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, ["[name] and [place]"], ["[name]", "[a\nb] [c]"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["Bye\nP.S. more", "p. s. more"], ["Bye", "ups. x"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["P.P.S more"], ["P.S. more"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, ["* a\n* b", "- a\n  - b"], ["* a", "* a\n* b\n- c", "**a**"]),
    ("detectable_format:constrained_response", {}, ["My answer is maybe."], ["Maybe.", "My answer is yes"]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, ["*a* and **b**"], ["**b**", "* * *a"]),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2}, ["Section 1\na\nSection 2\nb"],
     ["Section 1\na", "Section A\nSection B"]),
    ("detectable_format:json_format", {}, ['{"a": 1}', '```json\n{"a": 1}\n```', '```JSON\n[1]\n```'], ["{a: 1}", "a"]),
    ("detectable_format:title", {}, ["<<On joy>>\ntext"], ["<< >>", "<On joy>"]),
    ("combination:two_responses", {}, ["a\n******\nb"], ["a\n******\na", "a", "a\n******\nb\n******\nc"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi."}, ["say hi.\nHi"], ["Hi. Say hi."]),
    ("startend:end_checker", {"end_phrase": "The end."}, ["So. the END.", '"x the end."'], ["The end. Bye"]),
    ("startend:quotation", {}, ['"a b"'], ['"a', '"', "a"]),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"}, ["GO, (NOW)"], ["GO now"]),
    ("change_case:english_capital", {}, ["THIS IS IT"], ["This is it", "ЭТО ВСЁ"]),
    ("change_case:english_lowercase", {}, ["this is it."], ["This is it", "это всё"]),
    ("punctuation:no_comma", {}, ["a; b"], ["a, b"]),
]  # fmt: skip
CASES = [(n, k, r, True) for n, k, yes, _ in TABLE for r in yes] + [
    (n, k, r, False) for n, k, _, no in TABLE for r in no
]


@pytest.mark.parametrize(("name", "arguments", "response", "followed"), CASES)
def test_an_instruction(name, arguments, response, followed):
    assert follows(name, response, arguments) is followed


def test_every_public_instruction_is_there_and_tested():
    assert len(CHECKS) == 25
    assert {name for name, *_ in TABLE} == set(CHECKS)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One", 1),
        ("One. Two", 2),
        ("Is it? Yes!", 2),
        ("Wait... what", 2),
        ("v1.2 is out.", 1),
        ("他来了。我走了。", 2),
    ],
)
def test_sentences(text, count):
    assert count_sentences(text) == count


ROW = {
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [{"num_words": None}, {"num_words": 2, "relation": "at least", "language": None}],
}


def score(response, row=ROW, **options):
    return get_verifier("ifeval").with_options(options)(response=response, meta=row)


def test_rewards_and_metrics():
    whole, half = score("two words"), score("two, words")
    assert (whole.value, half.value, score("two, words", reward="fraction").value) == (1.0, 0.0, 0.5)
    assert half.metrics["strict_fraction"] == 0.5
    assert half.metrics["punctuation:no_comma"] == 0.0
    assert "no_comma" in half.reason
    polite = score("Sure, here you are:\ntwo words")
    assert (polite.value, polite.metrics["loose_all"]) == (0.0, 1.0)
    assert score("Sure, here you are:\ntwo words", loose=True).value == 1.0
    assert score("<think>a, b</think>two words").value == 1.0


def test_columns_as_text_and_as_the_answer():
    import json

    text = {name: json.dumps(value) for name, value in ROW.items()}
    assert score("two words", text).value == 1.0
    assert get_verifier("ifeval")(response="two words", answer=ROW).value == 1.0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "instruction_id_list"),
        ({"instruction_id_list": []}, "instruction_id_list"),
        ({"instruction_id_list": ["startend:middle"], "kwargs": [{}]}, "no instruction 'startend:middle'"),
        ({"instruction_id_list": ["startend:quotation"], "kwargs": [{}, {}]}, "1 instructions and 2"),
        ({"instruction_id_list": ["keywords:existence"], "kwargs": [{}]}, "keywords:existence: its arguments"),
        ({"instruction_id_list": ["keywords:existence"], "kwargs": [{"words": ["a"]}]}, "do not fit"),
        ({"instruction_id_list": ["language:response_language"], "kwargs": [{"language": "xx"}]}, "no language 'xx'"),
    ],
)
def test_a_row_that_cannot_be_checked_is_no_zero(row, message):
    with pytest.raises(InstructionError, match=message):
        score("text", row)


def test_an_unknown_reward_is_refused():
    with pytest.raises(VerifierError, match="'all' or 'fraction'"):
        score("text", reward="most")
