"""Conversations are read whole, or refused by row, message and way out."""

import json

import pytest

from grpo_kit.config import DataConfig
from grpo_kit.data.datasets import DatasetSource
from grpo_kit.errors import UserError
from grpo_kit.types import Task

USER = {"role": "user", "content": "2+2"}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 2}}}


def source(tmp_path, prompt, **settings):
    (tmp_path / "chat.jsonl").write_text(json.dumps({"prompt": prompt, "answer": "4"}) + "\n")
    return DatasetSource(DataConfig(path=str(tmp_path / "chat.jsonl"), **settings))


def messages(tmp_path, prompt, **settings):
    return list(source(tmp_path, prompt, **settings).task(0).messages)


@pytest.mark.parametrize(
    "prompt",
    [
        [USER],
        json.dumps([USER]),
        [{"role": "user", "content": [{"type": "text", "text": "2+"}, {"type": "text", "text": "2"}]}],
        [{"role": "user", "content": [{"type": "text", "text": "2+2", "cache_control": None}]}],
        [{"role": "user", "content": {"type": "text", "text": "2+2"}}],
        [{"role": "user", "content": "2+2", "name": None}],
    ],
    ids=["list", "JSON text", "parts", "a part with padding", "one part", "padding"],
)
def test_one_question_however_it_is_written(tmp_path, prompt):
    assert messages(tmp_path, prompt) == [USER]


def test_tool_calls_and_their_replies_are_kept(tmp_path):
    prompt = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "4", "name": "add", "tool_call_id": "c1"},
    ]
    found = messages(tmp_path, prompt)
    assert found[1] == {"role": "assistant", "content": "", "tool_calls": [CALL]}
    assert found[2] == prompt[2]
    assert source(tmp_path, prompt).task(0).prompt == "2+2"


def test_the_recipes_template_and_system_prompt_reach_a_conversation(tmp_path):
    """The instruction to box the answer would be lost otherwise, and every reward with it."""
    prompt = [USER, {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "3+3"}]
    found = messages(tmp_path, prompt, prompt_template="{prompt} Box it.", system_prompt="Be brief.")
    assert [m["content"] for m in found] == ["Be brief.", "2+2", "yes?", "3+3 Box it."]


def test_text_that_only_looks_like_json_stays_text(tmp_path):
    for text in ('[{"a": 1}] is what?', '[{"a": 1}]', "[{"):
        assert messages(tmp_path, text) == [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ([{"role": "user", "content": None}], "message 0: the user message has no content"),
        ([{"role": "assistant", "content": None}, USER], "message 0: the assistant message has no content"),
        ([{"role": "human", "content": "hi"}], "message 0: role 'human' is none of .* Did you mean user"),
        ([{"from": "human", "value": "hi"}], "from and value are called role and content here"),
        ([{"role": "system", "content": "hi"}], "has no user message"),
        ([USER, {"role": "system", "content": "hi"}], "ends with a system message"),
        ([USER, {"role": "assistant", "content": "4"}], "the answer would stand in the prompt"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}],
            "a part of type 'image_url' is no text",
        ),
        ([{"role": "user", "content": 5}], "content is text or a list of parts, found 5"),
        (["hello"], "message 0: a message is an object"),
        ([], "no user message"),
        (None, "row 0: the prompt is empty or not text: None"),
        (7, "row 0: the prompt is empty or not text: 7"),
    ],
)
def test_what_is_not_a_question_is_refused_by_row_and_message(tmp_path, prompt, message):
    with pytest.raises(UserError, match=f"data: row 0.*{message}|data: {message}"):
        messages(tmp_path, prompt)


def test_two_system_prompts_are_one_too_many(tmp_path):
    with pytest.raises(
        UserError, match="row 0: the conversation has a system message and the recipe has system_prompt"
    ):
        messages(tmp_path, [{"role": "system", "content": "a"}, USER], system_prompt="b")


def test_a_task_without_a_question_has_an_empty_prompt():
    assert Task("t", ({"role": "system", "content": "a"},), "").prompt == ""
