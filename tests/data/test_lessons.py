import json

import pytest

from grpo_kit.config import DataConfig, ExamplesConfig
from grpo_kit.config.read import load_recipe
from grpo_kit.data.lessons import find_shape, read_lesson
from grpo_kit.data.records import read_pairs
from grpo_kit.errors import UserError
from grpo_kit.policy.scratch import build_tokenizer
from grpo_kit.train.preflight import preflight

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "2+2"}
EARLIER = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


def said(text, **more):
    return {"role": "assistant", "content": text, **more}


def read(row, **data):
    shape = find_shape(row.keys(), "x.jsonl")
    return read_lesson(row, shape, DataConfig(path="x.jsonl", **data), "x.jsonl, row 0")


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "2+2", "response": "4"}, [USER]),
        ({"prompt": "2+2", "completion": "4"}, [USER]),
        ({"prompt": [USER], "completion": [said("4")]}, [USER]),
        ({"prompt": json.dumps([SYSTEM, USER], indent=2), "response": "4"}, [SYSTEM, USER]),
        ({"messages": [USER, said("4")]}, [USER]),
        ({"messages": [SYSTEM, *EARLIER, USER, said([{"type": "text", "text": "4"}])]}, [SYSTEM, *EARLIER, USER]),
        ({"conversations": [USER, said("4")]}, [USER]),
    ],
)
def test_one_response_in_the_shapes_it_is_written_in(row, prompt):
    lesson = read(row)
    assert (list(lesson.prompt), lesson.texts, lesson.marks) == (prompt, ["4"], [1.0])


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "2+2", "chosen": "4", "rejected": "5"}, [USER]),
        ({"prompt": [USER], "chosen": [said("4")], "rejected": [said("5")]}, [USER]),
        ({"chosen": [USER, said("4")], "rejected": [USER, said("5")]}, [USER]),
        ({"prompt": "2+2", "chosen": [USER, said("4")], "rejected": [USER, said("5")]}, [USER]),
        ({"prompt": "2+2", "chosen": [SYSTEM, USER, said("4")], "rejected": [SYSTEM, USER, said("5")]}, [SYSTEM, USER]),
        (
            {"prompt": None, "chosen": [*EARLIER, USER, said("4")], "rejected": [*EARLIER, USER, said("5")]},
            [*EARLIER, USER],
        ),
        ({"prompt": [USER], "chosen": [USER, said("4")], "rejected": "5"}, [USER]),
    ],
)
def test_pairs_share_their_beginning(row, prompt):
    lesson = read(row)
    assert (list(lesson.prompt), lesson.texts, lesson.marks) == (prompt, ["4", "5"], [1.0, 0.0])


def test_the_recipes_frame_is_put_around_the_question_of_a_conversation():
    lesson = read({"messages": [*EARLIER, USER, said("4")]}, prompt_template="{prompt} Box it.", system_prompt="Think.")
    assert [m["content"] for m in lesson.prompt] == ["Think.", "hi", "hello", "2+2 Box it."]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": "4", "rejected": "5"}, "there is no prompt"),
        (
            {"prompt": "3+3", "chosen": [USER, said("4")], "rejected": [USER, said("5")]},
            "chosen is a conversation whose beginning",
        ),
        ({"prompt": "2+2", "chosen": "4", "rejected": [SYSTEM, said("5")]}, "rejected"),
        ({"chosen": [USER, said("4")], "rejected": [*EARLIER, USER, said("5")]}, "part before their last message"),
        (
            {"chosen": [USER], "rejected": [USER, said("5")]},
            "chosen is a conversation that does not end with the assistant's",
        ),
        (
            {"messages": [{"from": "human", "value": "2+2"}, {"from": "gpt", "value": "4"}]},
            "from and value are called role",
        ),
        ({"messages": [USER, said("4", tool_calls=[{"id": 1}])]}, "holds tool_calls beside its text"),
        ({"messages": [USER, said("4", reasoning_content="2 and 2")]}, "holds reasoning_content beside its text"),
        ({"messages": [USER, said("")]}, "messages is ''"),
        ({"messages": [said("4")]}, "there is no prompt"),
        ({"messages": []}, "does not end with the assistant's"),
        ({"messages": [{"role": "user", "content": " "}, said("4")]}, "an empty user message"),
        ({"prompt": str([USER]), "response": "4"}, "as Python prints it"),
        ({"prompt": "a", "response": "4", "completion": "5"}, "the columns response and completion"),
        ({"instruction": "2+2", "output": "4"}, "it has: instruction, output"),
    ],
)
def test_what_cannot_be_learned_whole_is_refused_by_row_and_field(row, message):
    with pytest.raises(UserError, match=message):
        read(row)


@pytest.fixture
def learn(tiny_recipe, tmp_path):
    def run(algorithm, rows, *overrides):
        path = tmp_path / "lessons.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        recipe = [f"algorithm={algorithm}", f"examples.path={path}", *overrides]
        return preflight(load_recipe(tiny_recipe, recipe), None).notes

    return run


def test_an_algorithm_that_compares_is_not_given_single_responses(learn):
    with pytest.raises(
        UserError, match="offline_pg compares the responses to one prompt, and none of the 12 prompts has two"
    ):
        learn("offline_pg", [{"prompt": f"{i}+1", "response": "4", "label": i % 2} for i in range(12)])


@pytest.mark.parametrize(("label", "kind"), [(1, "good"), (0, "bad"), (None, "good")])
def test_labels_of_one_kind_are_named(learn, label, kind):
    rows = [{"prompt": f"{i}+1", "response": "4"} | ({} if label is None else {"label": label}) for i in range(12)]
    assert learn("kto", rows) == [f"examples.path: every response is {kind}, and kto learns from both kinds"]
    mixed = [{"prompt": f"{i}+1", "response": "4", "label": i % 2} for i in range(12)]
    assert learn("kto", mixed) == []


def joined(tmp_path, row, template="", **examples):
    (tmp_path / "x.jsonl").write_text(json.dumps(row) + "\n")
    made = build_tokenizer()
    settings = ExamplesConfig(path=str(tmp_path / "x.jsonl"), tokenized="together", **examples)
    data = DataConfig(task="addition", prompt_template=template or "{prompt}")
    (group,) = read_pairs(data, settings.path, made, "examples", settings)
    return made.decode(group.prompt.token_ids), [made.decode(c.token_ids) for c in group.completions]


def test_prompt_and_response_as_one_text(tmp_path):
    """Plain text has no chat around it; a chat has. The ids are held to TRL's own in tests/parity/test_rows_of_trl.py."""
    end, user, answers = "<|endoftext|>", "<|user|>", "<|assistant|>"
    row = {"prompt": "2+2 =", "response": " 4"}
    assert joined(tmp_path, row) == ("2+2 =", [" 4" + end])
    assert joined(tmp_path, row, "Q: {prompt}") == ("Q: 2+2 =", [" 4" + end])
    assert joined(tmp_path, row, learned="all") == ("2", ["+2 = 4" + end])
    assert joined(tmp_path, {"text": "So it was."}, learned="all") == ("S", ["o it was." + end])
    pair = {"chosen": "Is it? yes", "rejected": "Is it? no"}
    assert joined(tmp_path, pair) == ("Is it?", [" yes" + end, " no" + end])
    chat = {"messages": [USER, said("4")]}
    assert joined(tmp_path, chat) == (f"{user}2+2{answers}", ["4" + end])
    assert joined(tmp_path, chat, learned="all") == (user, [f"2+2{answers}4{end}"])
    tools = [{"type": "function", "function": {"name": "add"}}]
    assert joined(tmp_path, chat | {"tools": json.dumps(tools)})[0].startswith(f"{user}add{user}2+2")


def test_tools_of_a_row_reach_its_template(tmp_path):
    """In the usual way too: a conversation with tools that its prompt does not show teaches calling what is not there."""
    (tmp_path / "x.jsonl").write_text(
        json.dumps({"messages": [USER, said("4")], "tools": [{"function": {"name": "add"}}]})
    )
    made, settings = build_tokenizer(), ExamplesConfig(path=str(tmp_path / "x.jsonl"))
    (group,) = read_pairs(DataConfig(task="addition"), settings.path, made, "examples", settings)
    assert made.decode(group.prompt.token_ids) == "<|user|>add<|user|>2+2<|assistant|>"


@pytest.mark.parametrize(
    ("row", "examples", "says"),
    [
        ({"text": "So it was."}, {}, "Texts without a prompt are learned with examples.learned=all"),
        ({"chosen": "Yes", "rejected": "No"}, {}, "give the row a prompt"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, {"learned": "all"}, "compared by their responses"),
        ({"prompt": 3, "response": "b"}, {}, "must be text"),
        ({"messages": [USER, said("4")], "tools": "add"}, {}, "tools is text and no JSON"),
    ],
)
def test_what_cannot_be_read_as_one_text_is_refused(row, examples, says, tmp_path):
    with pytest.raises(UserError, match=says):
        joined(tmp_path, row, **examples)


@pytest.mark.parametrize(
    "examples",
    [{"demonstrations": True, "tokenized": "together"}, {"path": "x.jsonl", "learned": "all"}],
)
def test_keys_that_say_nothing_are_refused(examples):
    with pytest.raises(ValueError, match="together"):
        ExamplesConfig(**examples)
