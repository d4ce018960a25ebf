"""Tasks of lm-evaluation-harness on a checkpoint: the numbers are those of its own `hf` model."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.compat.lm_eval import process_results
from grpo_kit.errors import UserError
from tests.kit.tiny import teacher_folder

TASK = """\
task: tiny_{name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: {kind}
doc_to_text: "{{{{prompt}}}}"
{more}
"""
KINDS = {
    "said": ("generate_until", 'doc_to_target: "{{answer}}"\ngeneration_kwargs: {until: ["\\n"], max_gen_toks: 6}\n'
             "metric_list: [{metric: exact_match}]"),
    "chosen": ("multiple_choice", 'doc_to_choice: ["4", "12", "no"]\ndoc_to_target: 0\n'
               "metric_list: [{metric: acc}, {metric: acc_norm}]"),
    "read": ("loglikelihood_rolling", 'doc_to_target: "{{prompt}}"\nmetric_list: [{metric: word_perplexity}]'),
    "judged": ("generate_until", 'doc_to_target: "{{answer}}"\ngeneration_kwargs: {until: [], max_gen_toks: 6}\n'
               "process_results: !function judged.score\nmetric_list: [{metric: acc}]"),
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"{i} + {i + 1} =", "answer": str(2 * i + 1)} for i in range(6)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, (kind, more) in KINDS.items():
        text = TASK.format(name=name, kind=kind, rows=tmp_path / "rows.jsonl", more=more)
        (tmp_path / f"{name}.yaml").write_text(text)
    judged = (
        'from grpo_kit.compat.lm_eval import process_results\nscore = process_results("math", last_expression=True)\n'
    )
    (tmp_path / "judged.py").write_text(judged)
    return tmp_path


def test_the_numbers_are_those_of_its_own_model(here):
    pytest.importorskip("lm_eval", reason='lm-eval is missing: pip install "grpo-kit[lm-eval]"')
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    tasks = ",".join(f"lm_eval:{name}.yaml" for name in KINDS)
    arguments = ["eval", str(teacher_folder()), "--tasks", tasks, "--device", "cpu", "--out", "found"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(Path("found/harness.json").read_text())
    ours = {(row["task"], row["metric"]): row for row in found["tasks"]}
    assert {"torch", "lm-eval"} <= found["run"]["versions"].keys()
    manager = TaskManager(include_path=str(here), include_defaults=False)
    theirs = simple_evaluate(
        "hf", {"pretrained": str(teacher_folder()), "dtype": "float32"}, tasks=[f"tiny_{name}" for name in KINDS], device="cpu",
        batch_size=1, task_manager=manager,
    )  # fmt: skip
    for name in KINDS:
        task = f"tiny_{name}"
        mine = json.loads(Path(f"found/lm_eval-{task}.json").read_text())["samples"][task]
        for a, b in zip(mine, theirs["samples"][task], strict=True):
            assert (
                answers(a) == pytest.approx(answers(b), rel=1e-4)
                if name in ("chosen", "read")
                else answers(a) == answers(b)
            )
        for key, value in theirs["results"][task].items():
            metric, _, how = key.partition(",")
            if how == "none" and not metric.endswith("_stderr"):
                row = ours[f"lm_eval:{task}", metric]
                assert row["value"] == pytest.approx(value, rel=1e-4)
                error = theirs["results"][task][f"{metric}_stderr,none"]
                assert row["error"] == (pytest.approx(error, rel=1e-4) if isinstance(error, float) else None)
                assert row["problems"] == 6
    assert ours["lm_eval:tiny_judged", "unscored"]["value"] == 0.0


def answers(sample):
    """What a model said of one document: texts, or log-likelihoods."""
    flat = []
    for answer in sample["resps"]:
        while isinstance(answer, (list, tuple)):
            answer = answer[0]
        flat.append(answer if isinstance(answer, str) and not is_number(answer) else float(answer))
    return flat


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_a_verifier_judges_documents():
    score = process_results("math", gold="solution", metric="right")
    assert score({"solution": "12"}, [r"so \boxed{12}"]) == {"right": 1.0, "unscored": 0.0}
    assert score({"solution": "12"}, [r"so \boxed{13}"])["right"] == 0.0
    with pytest.raises(UserError, match="no verifier named"):
        process_results("mathh")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--tasks", "lm_eval:sums,addition"], "addition and tasks of another harness"),
        (
            ["--tasks", "lm_eval:sums", "-n", "4", "--verifier", "math"],
            "--n, --verifier: a task of another harness says",
        ),
        (["--tasks", "lm_eval:"], "name a task behind lm_eval:"),
    ],
)
def test_bad_input(arguments, says, here):
    done = CliRunner().invoke(app, ["eval", "model", *arguments])
    assert isinstance(done.exception, UserError)
    assert says in str(done.exception)


def test_without_the_package(here, monkeypatch):
    monkeypatch.setattr("grpo_kit.compat.foreign.find_spec", lambda name: None)
    for harness, extra in (("lm_eval", "lm-eval"), ("inspect", "inspect")):
        done = CliRunner().invoke(app, ["eval", "model", "--tasks", f"{harness}:sums"])
        assert f'pip install "grpo-kit[{extra}]"' in str(done.exception)
    assert not Path("evals").exists()
