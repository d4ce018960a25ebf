"""Tasks from files: mapping, patterns, and errors that name the file, the line and the way out."""

import json

import pytest

from grpo_kit.config import DataConfig, FieldMap
from grpo_kit.data.datasets import DatasetSource, open_source
from grpo_kit.errors import UserError
from tests.kit.places import SHARED_DATA

ROWS = [{"question": f"What is {i}+1?", "answer": f"It is\n#### {i + 1}", "topic": "sums"} for i in range(5)]
FIELDS = FieldMap(prompt="question", answer="answer")


def write(path, rows=ROWS):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


def config(path, **settings):
    return DataConfig(path=str(path), **{"fields": FIELDS, **settings})


def test_jsonl_with_pattern_template_and_system_prompt(tmp_path):
    source = open_source(
        config(
            write(tmp_path / "a.jsonl"),
            answer_pattern=r"####\s*(.+)",
            prompt_template="{prompt} Box it.",
            system_prompt="Be brief.",
        ),
        seed=0,
    )
    task = source.task(3)
    assert (task.id, task.answer, task.meta) == ("a/3", "4", {"topic": "sums"})
    assert task.messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 3+1? Box it."},
    )
    assert task.prompt == "What is 3+1? Box it."


def test_parquet_csv_json_and_saved_datasets(tmp_path):
    import datasets

    made = datasets.Dataset.from_list(ROWS)
    made.to_parquet(tmp_path / "a.parquet")
    made.to_csv(tmp_path / "a.csv")
    made.to_json(tmp_path / "a.json")
    made.save_to_disk(tmp_path / "saved")
    for name in ("a.parquet", "a.csv", "a.json", "saved"):
        source = DatasetSource(config(tmp_path / name))
        assert source.size == 5
        assert source.task(1).prompt == "What is 1+1?"


def test_conversations_are_taken_as_they_are(tmp_path):
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": "2+2"},
    ]
    path = write(tmp_path / "chat.jsonl", [{"prompt": messages, "answer": "4"}])
    task = DatasetSource(DataConfig(path=path)).task(0)
    assert list(task.messages) == messages
    assert task.prompt == "2+2"


def test_fingerprint_follows_the_content_not_the_name(tmp_path):
    first, second = (
        DatasetSource(config(write(tmp_path / "a.jsonl"))),
        DatasetSource(config(write(tmp_path / "b.jsonl"))),
    )
    assert first.fingerprint == second.fingerprint
    changed = [*ROWS[:-1], {**ROWS[-1], "answer": "#### 7"}]
    assert DatasetSource(config(write(tmp_path / "a.jsonl", changed))).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("settings", "rows", "expected"),
    [
        ({"fields": FieldMap(prompt="qestion", answer="answer")}, ROWS, "no column 'qestion'.*Did you mean question"),
        ({"answer_pattern": "####("}, ROWS, "not a regular expression"),
        ({"answer_pattern": "####.*"}, ROWS, "needs a group"),
        ({}, [], "is empty"),
    ],
)
def test_bad_settings(tmp_path, settings, rows, expected):
    with pytest.raises(UserError, match=expected):
        DatasetSource(config(write(tmp_path / "a.jsonl", rows), **settings))


def test_bad_rows_are_named(tmp_path):
    pattern = r"####\s*(.+)"
    source = DatasetSource(
        config(write(tmp_path / "a.jsonl", [{"question": "q", "answer": "none"}]), answer_pattern=pattern)
    )
    with pytest.raises(UserError, match="finds nothing in row 0"):
        source.task(0)
    source = DatasetSource(config(write(tmp_path / "a.jsonl", [{"question": " ", "answer": "1"}])))
    with pytest.raises(UserError, match="row 0: the prompt is empty"):
        source.task(0)


def test_broken_json_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "a", "answer": "b"}\n{"question": \n')
    with pytest.raises(UserError, match=r"a.jsonl:2: not valid JSON"):
        DatasetSource(config(path))


def test_missing_files(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        DatasetSource(config(tmp_path / "nothing.jsonl"))
    with pytest.raises(UserError, match="does not exist here"):
        DatasetSource(config("./no/such/folder"))


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="development data is not beside the checkout")
def test_gsm8k_through_its_recipe():
    from grpo_kit.config.read import load_recipe

    recipe = load_recipe("grpo/gsm8k", [f"data.path={SHARED_DATA / 'gsm8k_train.jsonl'}"])
    source = open_source(recipe.data, seed=0)
    assert source.size == 7473
    assert source.task(0).answer == "72"
    assert all(source.task(i).answer for i in range(0, 7473, 50))


def test_held_out_rows_are_disjoint_from_training_rows(tmp_path):
    rows = [{"question": f"What is {i}+1?", "answer": str(i + 1)} for i in range(200)]
    settings = config(write(tmp_path / "a.jsonl", rows))
    train, held_out = (DatasetSource(settings, part=part) for part in ("train", "held_out"))
    prompts = [{s.task(i).prompt for i in range(s.size)} for s in (train, held_out)]
    assert len(prompts[0]) + len(prompts[1]) == 200
    assert not prompts[0] & prompts[1]
    assert 5 < len(prompts[1]) < 50
    assert train.fingerprint != held_out.fingerprint
    with pytest.raises(UserError, match="too few rows to hold some out"):
        DatasetSource(config(write(tmp_path / "b.jsonl", rows[:1])), part="held_out")
