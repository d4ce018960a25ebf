"""Pass rates beside the rows, a grading that goes on where it was stopped, and the filter that uses them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.config import DataConfig
from grpo_kit.data.datasets import DatasetSource, training_sets
from grpo_kit.errors import UserError
from grpo_kit.evaluate import checkpoints
from grpo_kit.evaluate import grade as grading
from grpo_kit.types import is_right
from tests.kit.runs import ODD, recipe
from tests.kit.tiny import TINY_RECIPE, make_policy

ROWS = [{"prompt": f"{i}+1=", "answer": str(i + 1), "note": {"row": i}} for i in range(12)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_policy(seed=1).save(tmp_path / "model")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "tiny.yaml").write_text(TINY_RECIPE)
    return tmp_path


def grade(*arguments, code=0):
    # The odd texts are right, so that rates are neither 0 nor 1; nobody else judges.
    common = [
        ODD,
        f"evaluation={{verifier: {ODD.partition('=')[2]}}}",
        "data={path: rows.jsonl, max_prompt_tokens: 64}",
    ]
    command = ["data", "grade", "tiny.yaml", *common, "--model", "model", "--workers", "0", *map(str, arguments)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == code, f"{result.output}{result.exception}"
    return result


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_every_row_has_its_pass_rate_and_is_as_it_was(here):
    grade("--samples", 4, "--out", "graded.jsonl")
    graded = lines("graded.jsonl")
    assert [{k: row[k] for k in ROWS[0]} for row in graded] == ROWS  # also those that an evaluation would hold out
    samples = lines("graded.jsonl.samples/samples.jsonl")
    for index, row in enumerate(graded):
        own = [s for s in samples if s["id"] == f"rows/{index}"]
        assert len(own) == row["graded"] == 4
        assert row["pass_rate"] == sum(is_right(s["status"], s["value"]) for s in own) / 4
        assert all(s["value"] == sum(map(ord, s["response"])) % 2 for s in own)
    assert len({row["pass_rate"] for row in graded}) > 1


def test_a_grading_that_was_stopped_goes_on_and_comes_to_the_same(here, monkeypatch):
    monkeypatch.setattr(checkpoints, "CHUNK", 16)
    grade("--samples", 4, "--out", "straight.jsonl")
    judged, seen = checkpoints.judged, []

    def stopped(groups, *arguments, **options):
        for records in judged(groups, *arguments, **options):
            seen.append(records)
            if len(seen) == 6:
                raise KeyboardInterrupt
            yield records

    monkeypatch.setattr(checkpoints, "judged", stopped)
    CliRunner().invoke(
        app,
        ["data", "grade", "tiny.yaml", ODD, f"evaluation={{verifier: {ODD.partition('=')[2]}}}",
         "data={path: rows.jsonl, max_prompt_tokens: 64}", "--model", "model", "--workers", "0", "--samples", "4",
         "--out", "cut.jsonl"],
    )  # fmt: skip
    assert not Path("cut.jsonl").exists()
    assert 0 < len(lines("cut.jsonl.samples/samples.jsonl")) < 48
    monkeypatch.setattr(checkpoints, "judged", judged)
    with pytest.raises(UserError, match="go on with --resume"):
        raise grade("--samples", 4, "--out", "cut.jsonl", code=1).exception
    grade("--samples", 4, "--out", "cut.jsonl", "--resume")
    assert lines("cut.jsonl") == lines("straight.jsonl")


def test_each_of_several_data_sets_has_a_file(here):
    sets = "data=[{name: rows, path: rows.jsonl, max_prompt_tokens: 64}, {name: sums, task: addition, limit: 5}]"
    grade(sets, "--samples", 2, "--out", "graded.jsonl")
    assert len(lines("graded-rows.jsonl")) == 12
    sums = lines("graded-sums.jsonl")
    assert len(sums) == 5
    assert all(eval(row["prompt"].rstrip("=")) == int(row["answer"]) for row in sums)


def test_no_file_of_any_data_set_is_overwritten(here):
    sets = "data=[{name: rows, path: rows.jsonl, max_prompt_tokens: 64}, {name: sums, task: addition, limit: 5}]"
    Path("graded-sums.jsonl").write_text("of somebody\n")
    with pytest.raises(UserError, match=r"graded-sums\.jsonl exists and is never overwritten"):
        raise grade(sets, "--samples", 2, "--out", "graded.jsonl", code=1).exception
    assert Path("graded-sums.jsonl").read_text() == "of somebody\n"
    assert not Path("graded.jsonl.samples").exists()


def test_a_grading_that_was_stopped_between_two_files_writes_the_other(here, monkeypatch):
    sets = "data=[{name: rows, path: rows.jsonl, max_prompt_tokens: 64}, {name: sums, task: addition, limit: 5}]"
    write = grading._write

    def stopped(target, rows):
        if target.name == "graded-sums.jsonl":
            raise KeyboardInterrupt
        write(target, rows)

    monkeypatch.setattr(grading, "_write", stopped)
    grade(sets, "--samples", 2, "--out", "graded.jsonl", code=1)
    first = Path("graded-rows.jsonl").read_bytes()
    monkeypatch.setattr(grading, "_write", write)
    result = grade(sets, "--samples", 2, "--out", "graded.jsonl", "--resume")
    assert "graded-rows.jsonl: written before, and left as it is" in result.output
    assert Path("graded-rows.jsonl").read_bytes() == first
    assert len(lines("graded-sums.jsonl")) == 5
    with pytest.raises(UserError, match=r"graded-rows\.jsonl exists and is never overwritten"):
        raise grade(sets, "--samples", 2, "--out", "graded.jsonl", "--resume", code=1).exception


def test_a_file_that_no_grading_wrote_is_not_passed_over(here):
    sets = "data=[{name: rows, path: rows.jsonl, max_prompt_tokens: 64}, {name: sums, task: addition, limit: 5}]"
    Path("graded-rows.jsonl").write_text("of somebody\n")
    with pytest.raises(UserError, match=r"graded-rows\.jsonl exists and is never overwritten"):
        raise grade(sets, "--samples", 2, "--out", "graded.jsonl", "--resume", code=1).exception


def test_what_the_policy_is_told_of_its_tools_counts_as_in_training(here):
    rows, tools = (
        "data={path: rows.jsonl, max_prompt_tokens: 12}",
        "environment={tools: [calculator], max_inserted: 64}",
    )
    with pytest.raises(UserError, match=r"data.max_prompt_tokens: no prompt has at most 12 tokens"):
        raise grade(rows, tools, "--samples", 2, "--out", "graded.jsonl", code=1).exception
    grade(rows, "--samples", 1, "--out", "graded.jsonl")
    assert [row["graded"] for row in lines("graded.jsonl")] == [1] * 12


def test_prompts_that_training_passes_over_for_their_length_are_not_asked(here):
    rows = [*ROWS[:3], {"prompt": "1+1 " * 200, "answer": "2"}]  # more than the model's context
    Path("long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = grade("data={path: long.jsonl, max_prompt_tokens: 64}", "--samples", 2, "--out", "graded.jsonl")
    graded = lines("graded.jsonl")
    assert [row["prompt"] for row in graded] == [row["prompt"] for row in rows]
    assert [row["graded"] for row in graded] == [2, 2, 2, 0]
    assert graded[3]["pass_rate"] is None
    assert "0 unjudged, 1 too long to be asked" in " ".join(result.output.split())
    with pytest.raises(UserError, match="no prompt has at most 3 tokens"):
        raise grade(
            "data={path: long.jsonl, max_prompt_tokens: 3}", "--samples", 2, "--out", "other.jsonl", code=1
        ).exception
    assert not Path("other.jsonl.samples").exists()


def test_a_pass_rate_chooses_the_rows_that_are_trained_on(here):
    rates = [None, 0.0, 0.1, 0.5, 0.9, 1.0]
    rows = [{"prompt": f"question {i}", "answer": "1", "pass_rate": rate} for i, rate in enumerate(rates)]
    Path("graded.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = DataConfig(path="graded.jsonl", pass_rate=(0.1, 0.9))
    source = DatasetSource(data)
    assert [source.task(i).prompt for i in range(source.size)] == ["question 2", "question 3", "question 4"]
    assert source.fingerprint != DatasetSource(DataConfig(path="graded.jsonl")).fingerprint
    # What is held out is held out of all rows: the model is not to be asked only what it finds easy.
    whole = DatasetSource(DataConfig(path="rows.jsonl"), part="held_out")
    for row in (graded := lines("rows.jsonl")):
        row["pass_rate"] = 0.0
    graded[0]["pass_rate"] = 0.5
    Path("hard.jsonl").write_text("".join(json.dumps(row) + "\n" for row in graded))
    assert DatasetSource(DataConfig(path="hard.jsonl", pass_rate=(0.1, 0.9)), part="held_out").size == whole.size


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"path": "rows.jsonl", "pass_rate": [0.1, 0.9]}, "rows.jsonl has no column 'pass_rate'; `grpo-kit data grade"),
        ({"path": "text.jsonl", "pass_rate": [0.1, 0.9]}, "data.pass_rate: row 0 of text.jsonl has 'often', which is no number"),
        ({"path": "none.jsonl", "pass_rate": [0.1, 0.9]}, "no row of none.jsonl has a pass_rate from 0.1 to 0.9; widen it"),
        ({"task": "addition", "pass_rate": [0.1, 0.9]}, "grade its problems first"),
        ({"path": "rows.jsonl", "pass_rate": [0.9, 0.1]}, "pass_rate is .from, to."),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_is_refused(here, data, said):
    for name, rate in (("text", "often"), ("none", 1.0)):
        Path(f"{name}.jsonl").write_text(json.dumps({"prompt": "q", "answer": "1", "pass_rate": rate}) + "\n")
    with pytest.raises(UserError, match=said):
        training_sets(recipe("grpo", f"data={json.dumps(data)}"))


def test_what_cannot_be_graded_is_refused_before_anything_is_written(here):
    for arguments, said in (
        (["data={task: addition}"], "data.task: addition has no end; set data.limit"),
        (["--out", "graded.csv"], "written as .jsonl"),
    ):
        with pytest.raises(UserError, match=said):
            raise grade(*arguments, code=1).exception
    Path("graded.jsonl").write_text("mine")
    with pytest.raises(UserError, match="never overwritten"):
        raise grade(code=1).exception
    assert Path("graded.jsonl").read_text() == "mine"
    command = ["data", "grade", "tiny.yaml", "data={path: rows.jsonl}", "--out", "other.jsonl"]
    with pytest.raises(UserError, match=r"model\.path: the recipe makes its model from scratch"):
        raise CliRunner().invoke(app, command).exception
