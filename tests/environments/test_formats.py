"""Calls in a turn's text: every format's own ways, what is wrong with a call as a sentence, and time in proportion."""

from __future__ import annotations

import json
import random
import time

import pytest

from grpo_kit.environments.formats import (
    FORMATS,
    MOST_CALLS,
    Call,
    Fault,
    format_of_template,
    instructions,
    read,
    takes_tools,
    write,
)
from grpo_kit.errors import UserError
from tests.kit.linear import is_linear, without_collections

ADD = Call("add", {"a": 1, "b": [2, {"c": None}]})
CODE = Call("python", {"code": 'print("</tool_call>")\nx = "[TOOL_CALLS]```"'})


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("calls", [[ADD], [ADD, ADD], [Call("now")], [Call("a", {"x": 'ü " \\ \n'})]])
def test_what_is_written_is_read(format, calls):
    assert read(write(calls, format), format) == calls
    assert read(f"<think>Shall I? {write([ADD], format)}</think>\n{write(calls, format)}\n", format) == calls


@pytest.mark.parametrize("format", ["hermes", "llama", "mistral"])
def test_a_program_that_holds_the_closing_tag(format):
    assert read(write([CODE, ADD], format), format) == [CODE, ADD]


@pytest.mark.parametrize("format", FORMATS)
def test_an_argument_that_holds_the_end_of_reasoning(format):
    """It ends no reasoning; a call that was thought of before the real end is none."""
    calls = [Call("say", {"text": "so </think> it goes"}), Call("say", {"text": "</think>"})]
    assert read(write(calls, format), format) == calls
    assert read(f"<think>Shall I? {write([ADD], format)}</think>\n{write(calls, format)}", format) == calls
    assert read(f"{write([ADD], format)} </think> and </think>{write(calls, format)}", format) == calls
    assert read(f"{write(calls, format)}</think> No.", format) == []


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "[1, -1e400]"])
def test_what_is_no_finite_number_is_no_json(format, number):
    """A tool that rounds or counts would fail at it, and the failure would be ours and not the policy's."""
    [fault] = read(write([Call("a", {"x": 0})], format).replace("0", number), format)
    assert isinstance(fault, Fault)
    assert "not valid JSON" in fault.text


@pytest.mark.parametrize(
    ("format", "text", "calls"),
    [
        ("hermes", 'I will add.\n<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call> Wait.', [Call("add", {"a": 1})]),
        ("hermes", '<tool_call>{"name": "add", "arguments": "{\\"a\\": 1}"}</tool_call>', [Call("add", {"a": 1})]),
        ("hermes", '<tool_call>{"name": "p", "arguments": {"code": "a\nb"}}</tool_call>', [Call("p", {"code": "a\nb"})]),
        ("hermes", '<tool_call>{"function": {"name": "p", "arguments": {}}}</tool_call>', [Call("p")]),
        ("llama", '<|python_tag|>{"name": "add", "parameters": {"a": 1}}', [Call("add", {"a": 1})]),
        ("llama", '{"name": "a", "parameters": {}}; {"name": "b", "parameters": {}}', [Call("a"), Call("b")]),
        ("mistral", '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}}]', [Call("add", {"a": 1})]),
        ("mistral", 'Yes.[TOOL_CALLS]add[ARGS]{"a": 1}[TOOL_CALLS]sub[ARGS]{}', [Call("add", {"a": 1}), Call("sub")]),
        ("mistral", '[TOOL_CALLS]add[CALL_ID]abc123[ARGS]{"a": 1}', [Call("add", {"a": 1})]),
        ("json", 'First:\n```json\n{"name": "add", "arguments": {"a": 1}}\n```\nand then', [Call("add", {"a": 1})]),
        ("json", '[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]', [Call("a"), Call("b")]),
        ("json", '```json\n{"x": 1}\n```\n```json\n{"name": "a", "arguments": {}}\n```', [Call("a")]),
    ],
)  # fmt: skip
def test_ways_to_write_a_call(format, text, calls):
    assert read(text, format) == calls


@pytest.mark.parametrize(
    ("format", "text"),
    [
        *(
            (format, text)
            for format in FORMATS
            for text in ("", "The answer is 5.", "\\boxed{5}", "{x: 1}", "[1, 2, 3]")
        ),
        ("json", '{"name": "Ada", "age": 36}'),
        ("llama", '{"answer": 5}'),
        ("json", "```python\nprint(1)\n```"),
        ("hermes", '{"name": "add", "arguments": {}}'),
        ("json", '<tool_call>{"name": "add", "arguments": {}}</tool_call>'),
    ],
)
def test_an_answer_calls_nothing(format, text):
    assert read(text, format) == []


@pytest.mark.parametrize(
    ("format", "text", "said"),
    [
        ("hermes", '<tool_call>{"name": "add", "arguments": {}}', "not closed: </tool_call> is missing"),
        ("hermes", "<tool_call>{name: add}</tool_call>", "not valid JSON"),
        ("hermes", '<tool_call>{"name": "a"} or so</tool_call>', "not valid JSON"),
        ("hermes", "<tool_call></tool_call>", "not valid JSON"),
        ("hermes", '<tool_call>{"arguments": {}}</tool_call>', "has no name"),
        ("hermes", '<tool_call>{"name": 5}</tool_call>', "has no name"),
        ("hermes", '<tool_call>{"name": "a", "arguments": [1]}</tool_call>', "arguments of a call are a JSON object"),
        ("hermes", '<tool_call>"add"</tool_call>', "A call is a JSON object"),
        ("llama", "<|python_tag|>print(1)", "not valid JSON"),
        ("llama", "<|python_tag|>", "not valid JSON"),
        ("llama", '{"name": "add", "parameters": {"a": 1}', "not valid JSON"),
        ("llama", '{"parameters": {"a": 1}}', "has no name"),
        ("mistral", "[TOOL_CALLS]", "not valid JSON"),
        ("mistral", "[TOOL_CALLS][]", "The list of calls is empty"),
        ("mistral", '[TOOL_CALLS][{"name": "a", "arguments": {}}', "not valid JSON"),
        ("json", '```json\n{"name": "add", "arguments": {"a": 1}\n```', "not valid JSON"),
        ("json", '{"arguments": {"a": 1}}', "has no name"),
    ],
)
def test_structural_faults_are_sentences_that_show_the_form(format, text, said):
    [fault] = read(text, format)
    assert isinstance(fault, Fault)
    assert said in fault.text
    assert "empty" in said or "Write " in fault.text


def test_a_fault_does_not_hide_the_calls_around_it():
    text = f"{write([ADD], 'hermes')}<tool_call>oops</tool_call>{write([ADD], 'hermes')}"
    assert [type(one) for one in read(text, "hermes")] == [Call, Fault, Call]


@pytest.mark.parametrize("format", FORMATS)
def test_calls_beyond_the_most_are_named_and_not_read(format):
    found = read(write([ADD] * 100, format), format)
    assert found[:-1] == [ADD] * MOST_CALLS
    assert isinstance(found[-1], Fault)


def test_an_unknown_format():
    with pytest.raises(UserError, match="no format 'xml'; there are hermes, llama, mistral, json"):
        read("x", "xml")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "format", "tools"),
    [
        ("{% for tool in tools %}..<tool_call>{{ tool_call | tojson }}</tool_call>", "hermes", True),
        ("{%- if tools %}<|python_tag|>{{ tool_call }}", "llama", True),
        ('{%- if tools %}{"name": tool_call.name, "parameters": }', "llama", True),
        ("[AVAILABLE_TOOLS]{{ tools }}[TOOL_CALLS]{{ tool_call }}", "mistral", True),
        ("<|im_start|>{{ message.role }}", "json", False),
        (None, "json", False),
    ],
)
def test_the_template_says_how_calls_are_written(template, format, tools):
    assert format_of_template(template) == format
    assert takes_tools(template) is tools


@pytest.mark.parametrize("format", FORMATS)
def test_instructions_for_templates_without_tools(format):
    schema = {"type": "function", "function": {"name": "add", "description": "Add.", "parameters": {"type": "object"}}}
    text = instructions([schema], format)
    assert json.dumps(schema["function"]) in text
    assert '"name": "NAME"' in text


UNITS = (
    "<tool_call>", "</tool_call>", "<tool_call></tool_call>", '<tool_call>{"', '<tool_call>["\\"',
    '{"name": "a", "arguments": {', "[", "{", '{"', '"', "\\", "[TOOL_CALLS]", "[TOOL_CALLS]a[ARGS]", "[TOOL_CALLS][", "a",
    " ", "\n", "```json\n", "```", "```json\n{", "<|python_tag|>", "<think>", "</think>", "9", '{"name": "a"};',
    '{"name": "a", "parameters": {}} ', '[{"name": "a"}', "1,", "[1,", '```json\n{"name":"a","arguments":{}}\n```\n',
    "```json\n{}\n```\n", "\ud800", "\0", '<tool_call>{"a": "</think>"}',
    '{"a": "</think>"};', '[TOOL_CALLS]["</think>"]</think>',
)  # fmt: skip
OPENINGS = (
    "",
    '<tool_call>{"name": "',
    "[TOOL_CALLS]",
    '{"name": "a", "arguments": {"x": "',
    "```json\n[",
    "<|python_tag|>[",
)


@pytest.fixture
def no_collection():
    with without_collections():
        yield


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("format", FORMATS)
def test_time_grows_as_the_text_does(format):
    def cost(text):
        start = time.process_time()
        for one in read(text, format):
            assert isinstance(one, (Call, Fault))
        return time.process_time() - start

    for unit in UNITS:
        for before in OPENINGS:
            assert is_linear(cost, lambda n, u=unit, b=before: b + u * (n // len(u)), 250_000), f"{before!r} {unit!r}"


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_that_is_written_raises(format):
    draw = random.Random(format)
    for _ in range(3000):
        text = "".join(draw.choices((*UNITS, write([ADD], format)), k=draw.randint(1, 12)))
        assert all(isinstance(one, (Call, Fault)) for one in read(text, format))
