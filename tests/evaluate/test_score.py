"""Re-scoring files: formats, fields, votes, disagreements, and published numbers where the outputs are at hand."""

import json
import math
import re

import pytest

from grpo_kit.errors import UserError
from grpo_kit.evaluate.files import Fields, problems_of, resolve_fields
from grpo_kit.evaluate.protocol import read_evaluation
from grpo_kit.evaluate.records import Record
from grpo_kit.evaluate.score import rescore
from grpo_kit.evaluate.show import markdown, table_rows
from grpo_kit.evaluate.summary import summarise
from grpo_kit.evaluate.votes import count_votes
from grpo_kit.scoring import Scorer, VerifierSpec
from tests.kit.places import SHARED_DATA

MATH = VerifierSpec("math")
ROWS = [
    {
        "question": "a",
        "gold": "1/2",
        "out": ["\\boxed{0.5}", "\\boxed{2}", "\\boxed{2.0}"],
        "ok": [True, False, False],
    },
    {
        "question": "b",
        "gold": "3",
        "out": ["\\boxed{3}", "no idea at all, sorry\nreally", "\\boxed{3}"],
        "ok": [1, 1, 0],
    },
]


def write(tmp_path, name, rows=ROWS):
    path = tmp_path / name
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps({"results": rows}))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


FIELDS = Fields(response="out", gold="gold")


@pytest.mark.parametrize("name", ["o.jsonl", "o.json", "o.parquet"])
def test_every_format_gives_the_same(tmp_path, name):
    rows = [{k: v for k, v in row.items() if k != "ok"} for row in ROWS]
    found = rescore(write(tmp_path, name, rows), FIELDS, MATH, workers=0)
    (task,) = found.result.tasks.values()
    assert task.metrics["avg"]["value"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert task.metrics["no_answer"] == pytest.approx(1 / 6)
    # Problem a: 0.5 is right, and 2 and 2.0 are one wrong answer with two votes. Problem b: 3 wins.
    assert task.metrics["majority_at"]["3"]["value"] == pytest.approx(0.5)
    assert task.metrics["pass_at"]["3"]["value"] == 1.0


def test_disagreements_are_listed(tmp_path):
    found = rescore(write(tmp_path, "o.jsonl"), Fields("out", "gold", "ok"), MATH, workers=0)
    assert [(r.id, r.sample) for r in found.disagreements] == [("1", 1), ("1", 2)]
    labels = found.by_labels()
    assert next(iter(labels.tasks.values())).metrics["avg"]["value"] == pytest.approx((1 / 3 + 2 / 3) / 2)


def test_nested_fields_and_long_format(tmp_path):
    rows = [
        {"uid": "p", "answer": "4", "model": {"text": "\\boxed{4}"}},
        {"uid": "q", "answer": "5", "model": {"text": "\\boxed{4}"}},
        {"uid": "p", "answer": "4", "model": {"text": "\\boxed{5}"}},
    ]
    path = write(tmp_path, "o.jsonl", rows)
    fields = resolve_fields(rows, Fields(response="model.text", id="uid"), path)
    assert [(p.id, len(p.responses)) for p in problems_of(rows, fields, path)] == [("p", 2), ("q", 1)]
    assert rescore(path, fields, MATH, workers=0).result.tasks["o"].metrics["avg"]["value"] == pytest.approx(0.25)


BAD = {
    "no such file": (None, FIELDS, "no such file"),
    "not JSON": ('{"out": 1,}\n', FIELDS, ":1: not valid JSON"),
    "empty": ("\n", FIELDS, "holds no rows"),
    "rows are not objects": ("[1]\n", FIELDS, "must be a JSON object"),
    "field missing": ('{"out": "x", "gold": 1}\n', Fields("outt", "gold"), "Did you mean out?"),
    "fields unknown": ('{"x": "x", "gold": 1}\n', Fields(), "name the responses with --response-field"),
    "response is a number": ('{"out": 7, "gold": 1}\n', FIELDS, "must be text or a list of texts"),
    "label is text": ('{"out": "7", "gold": 1, "ok": "yes"}\n', Fields("out", "gold", "ok"), "a label must be"),
    "too few labels": ('{"out": ["7", "8"], "gold": 1, "ok": [true]}\n', Fields("out", "gold", "ok"), "1 labels for 2"),
    "later row lacks it": ('{"out": "7", "gold": 1}\n{"gold": 1}\n', FIELDS, "row 1 has no field 'out'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_named(tmp_path, case):
    content, fields, expected = BAD[case]
    path = tmp_path / "o.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=re.escape(expected)):
        rescore(path, fields, MATH, workers=0)


def record(id, sample, value, extracted, status="ok", **more):
    return Record("t", id, sample, "", "g", "text", value, status, extracted, **more)


def test_votes_are_counted_by_verified_equality_within_a_problem():
    answers = ["0.5", "1/2", "\\frac{1}{2}", "3", "3.0", None]
    records = [record("p", i, 0.0, a) for i, a in enumerate(answers)] + [
        record("q", 0, 1.0, "7"),
        record("q", 1, 0.0, "0.5"),
    ]
    with Scorer([MATH], workers=0) as scorer:
        votes = count_votes(records, scorer)
    assert (sorted(votes["t", "p"].sizes), votes["t", "p"].blank) == ([2, 3], 1)
    assert (votes["t", "q"].sizes, votes["t", "q"].rights) == ([1, 1], [1.0, 0.0])
    assert sorted(count_votes(records)["t", "p"].sizes) == [1] * 5  # as text, all differ


def test_unjudged_completions_are_neither_right_nor_wrong():
    records = [
        record("p", 0, 1.0, "1"),
        record("p", 1, 0.0, None, "error"),
        record("q", 0, 0.0, "2"),
        record("q", 1, 1.0, "1"),
    ]
    metrics = summarise(records)
    assert metrics.avg.value == pytest.approx(0.75)
    assert metrics.avg_worst == pytest.approx(0.5)
    assert metrics.unscored == {"error": 1}
    assert metrics.pass_at[2].problems == 1
    nothing = summarise([record("p", 0, 0.0, None, "timeout")])
    assert math.isnan(nothing.avg.value)


def test_greedy_samples_are_apart():
    records = [record("p", -1, 1.0, "1"), record("p", 0, 0.0, "2"), record("p", 1, 0.0, "2"), record("q", -1, 1.0, "1")]
    metrics = summarise(records)
    assert (metrics.greedy.value, metrics.avg.value, metrics.samples) == (1.0, 0.0, 2)
    only = summarise([record("p", -1, 1.0, "1"), record("q", -1, 0.0, "1")])
    assert (only.samples, only.greedy.value, only.problems) == (0, 0.5, 2)


def test_lengths_truncation_and_the_table():
    records = [
        record("p", 0, 1.0, "1", finish="stop", token_ids=(1, 2)),
        record("q", 0, 0.0, "2", finish="length", token_ids=(1, 2, 3, 4)),
    ]
    metrics = summarise(records)
    assert (metrics.truncated, metrics.length_right, metrics.length_wrong, metrics.length_unit) == (0.5, 2, 4, "tokens")


def test_the_command(grpo_kit, tmp_path):
    write(tmp_path, "o.jsonl")
    arguments = [
        "score",
        "o.jsonl",
        "--response-field",
        "out",
        "--gold-field",
        "gold",
        "--label-field",
        "ok",
        "--workers",
        1,
    ]
    shown = grpo_kit(*arguments, "--out", "scored", "--markdown", "t.md")
    assert shown.returncode == 0, shown.stderr
    for expected in (
        "50.00 ± 16.67",
        "maj@n",
        "2 verdicts differ",
        "clustered",
        "verifier name math version 2",
        "sha256:",
    ):
        assert expected in shown.stdout
    result, records = read_evaluation(tmp_path / "scored")
    assert len(records) == 6
    assert (tmp_path / "t.md").read_text() == markdown_of(shown, tmp_path)
    assert summarise(records).avg.value == result.tasks["o"].metrics["avg"]["value"]
    assert len((tmp_path / "scored" / "disagreements.jsonl").read_text().splitlines()) == 2
    again = grpo_kit(*arguments, "--out", "scored")
    assert (again.returncode, "never overwritten" in again.stderr) == (2, True)


def markdown_of(shown, tmp_path):
    """The Markdown table says what the console table says."""
    text = (tmp_path / "t.md").read_text()
    cells = [c.strip() for c in text.splitlines()[2].strip("|").split("|")]
    assert all(cell in shown.stdout for cell in cells)
    return text


def test_columns_that_say_nothing_are_left_out(tmp_path):
    rows = [{"gold": "3", "out": "\\boxed{3}"}, {"gold": "4", "out": "\\boxed{3}"}]
    result = rescore(write(tmp_path, "one.jsonl", rows), FIELDS, MATH, workers=0).result
    header, cells = table_rows([result])
    assert not {"pass@k", "maj@n", "greedy", "unscored"} & set(header)
    assert "50.00" in " ".join(cells[0])
    assert markdown([result]).startswith("| model | task |")


needs_outputs = pytest.mark.skipif(not (SHARED_DATA / "outputs").is_dir(), reason="the published outputs are not here")


def published(name, fields, options=None):
    found = rescore(
        SHARED_DATA / "outputs" / name, fields, VerifierSpec("math", options=options or {}, timeout=600.0), workers=2
    )
    (task,) = found.result.tasks.values()
    (labels,) = found.by_labels().tasks.values()
    return task.metrics, labels.metrics


@needs_outputs
@pytest.mark.parametrize(
    ("model", "accuracy"),
    [("6b_finetuning", 21.68), ("6b_verification", 39.04), ("175b_finetuning", 34.72), ("175b_verification", 56.25)],
)
def test_published_gsm8k_of_openai(model, accuracy):
    fields = Fields(f"{model}.solution", "ground_truth", f"{model}.is_correct")
    metrics, labels = published("gsm8k_openai_example_model_solutions.jsonl", fields)
    assert round(100 * metrics["avg"]["value"], 2) == round(100 * labels["avg"]["value"], 2) == accuracy


@needs_outputs
def test_published_math500_and_gsm8k_of_rho():
    fields = Fields("code", "gt", "score")
    metrics, labels = published("math500_rho-math-7b-interpreter-v0.1.jsonl", fields, {"unevaluated": "allow"})
    assert 100 * labels["avg"]["value"] == pytest.approx(52.0)
    assert 100 * metrics["avg"]["value"] == pytest.approx(52.0, abs=0.5)
    # The published grader takes the last number of any text and misses "520 - 480 = 40" and "50 dollars": 11 responses
    # are judged differently, 8 of them right.
    metrics, labels = published("gsm8k_rho-math-7b-v0.1.jsonl", fields, {"last_expression": True})
    assert 100 * labels["avg"]["value"] == pytest.approx(66.8, abs=0.05)
    assert 100 * metrics["avg"]["value"] == pytest.approx(66.8, abs=0.5)


@needs_outputs
def test_published_math_of_qwen_with_eight_samples():
    metrics, labels = published("math100x8_qwen25math_rm.jsonl", Fields("code", "gt", "score"))
    assert 100 * metrics["avg"]["value"] == pytest.approx(91.0, abs=0.3)
    assert 100 * labels["avg"]["value"] == pytest.approx(91.0)
    assert 100 * labels["avg"]["error"] == pytest.approx(2.50, abs=0.005)
    assert 100 * labels["naive_error"] == pytest.approx(1.01, abs=0.005)
    found = [round(100 * labels["pass_at"][k]["value"], 1) for k in "1248"]
    assert found == [91.0, 93.3, 95.1, 96.0]
