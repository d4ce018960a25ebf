"""eval: task files, metrics, protocol, and a killed evaluation that goes on as if nothing had happened."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from grpo_kit.errors import UserError
from grpo_kit.evaluate.protocol import read_evaluation
from grpo_kit.evaluate.run import EvalResult
from grpo_kit.evaluate.tasks import Changes, open_task, shipped_tasks
from tests.kit.patience import HANGS, wait_until
from tests.kit.places import SHARED_DATA
from tests.kit.tiny import make_policy

# A chunk of 16 completions, so that a small evaluation has several.
SMALL_CHUNKS = """\
import sys
from grpo_kit.evaluate import checkpoints
checkpoints.CHUNK = 16
from grpo_kit.cli.app import main
main()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "one"
    make_policy(seed=1).save(folder)
    return folder


def start(model, *arguments, cwd, **options):
    command = [sys.executable, "-c", SMALL_CHUNKS, "eval", str(model), *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def finish(process, code=0):
    output, errors = process.communicate(timeout=HANGS)
    assert process.returncode == code, errors
    return output, errors


ARGUMENTS = ["--tasks", "addition,sort_letters", "--limit", 48, "-n", 4, "--max-tokens", 24, "--workers", 0]


@pytest.fixture(scope="module")
def straight(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    output, _ = finish(start(model, *ARGUMENTS, "--out", "a", "--markdown", "t.md", cwd=folder))
    return folder, output


def test_what_an_evaluation_leaves(straight):
    folder, output = straight
    result, records = read_evaluation(folder / "a")
    assert len(records) == 2 * 48 * 5
    assert [r.sample for r in records[:6]] == [0, 1, 2, 3, -1, 0]
    assert all(len(r.token_ids) == len(r.logprobs) > 0 for r in records)
    protocol = result.tasks["addition"].protocol
    for key in ("n", "sampling", "problems", "data", "template", "chat_template", "prompts", "verifier"):
        assert key in protocol
    assert {"engine", "device", "dtype", "versions"} == set(result.run)
    assert result.model["fingerprint"].startswith("sha256:")
    for expected in ("sort_letters", "temperature 1.0", "engine torch", "verifier name math version", "prompts"):
        assert expected in output
        assert expected in (folder / "t.md").read_text()
    metrics = result.tasks["sort_letters"].metrics
    assert (metrics["problems"], metrics["samples"], metrics["greedy"]["problems"]) == (48, 4, 48)
    assert set(metrics["pass_at"]) == set(metrics["majority_at"]) == {"1", "2", "4"}


def test_an_evaluation_during_a_run_says_the_same_of_the_same_answers(straight):
    result, records = read_evaluation(straight[0] / "a")
    for name, task in result.tasks.items():
        found = EvalResult.of([record for record in records if record.task == name])
        average, metrics = task.metrics["avg"], task.metrics
        assert (found.sampled, found.sampled_error) == (average["value"], average["error"])
        assert (found.sampled_low, found.sampled_high) == (average["low"], average["high"])
        assert (found.problems, found.samples, found.greedy) == (48, 4, metrics["greedy"]["value"])
        assert (found.truncated, found.unscored) == (metrics["truncated"], 0.0)


@pytest.mark.parametrize("lines", [1, 200])
def test_killed_and_resumed_gives_the_same_files(model, straight, tmp_path, lines):
    process = start(model, *ARGUMENTS, "--out", "a", cwd=tmp_path)
    log = tmp_path / "a" / "samples.jsonl"

    def has_written():
        assert process.poll() is None, process.stderr.read()
        return log.is_file() and log.read_bytes().count(b"\n") >= lines

    wait_until(has_written, f"{lines} lines of samples", every=0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "a" / "results.json").exists()
    with log.open("ab") as file:  # a kill in the middle of a write
        file.write(b'{"task": "addition", "id": "addi')
    finish(start(model, *ARGUMENTS, "--out", "a", "--resume", cwd=tmp_path))
    for name in ("samples.jsonl", "results.json"):
        assert (tmp_path / "a" / name).read_bytes() == (straight[0] / "a" / name).read_bytes()


def invoke(*arguments):
    """The command in this process: its error, or None."""
    from typer.testing import CliRunner

    from grpo_kit.cli.app import app

    return CliRunner().invoke(app, ["eval", *map(str, arguments)]).exception


def test_a_resume_with_another_protocol_is_refused(model, straight, monkeypatch):
    monkeypatch.chdir(straight[0])
    changed = [a if a != 24 else 25 for a in ARGUMENTS]
    error = invoke(model, *changed, "--out", "a", "--resume")
    assert "was started differently" in str(error)
    assert "max_tokens: 24 against 25" in str(error)
    assert "never overwritten" in str(invoke(model, *ARGUMENTS, "--out", "a"))


@pytest.mark.parametrize(
    ("servers", "found"),
    [
        (["nonsense"], "--server: 'nonsense' is not of the form http://host:port"),
        (["http://a:1", "http://a:1"], "--server: the same URL stands there twice"),
    ],
)
def test_an_address_that_is_none_is_named(model, tmp_path, monkeypatch, servers, found):
    monkeypatch.chdir(tmp_path)
    named = [word for url in servers for word in ("--server", url)]
    error = invoke(model, *ARGUMENTS, "--engine", "vllm_server", *named, "--out", "s")
    assert isinstance(error, UserError)
    assert str(error) == found
    assert not (tmp_path / "s").exists()


def test_several_checkpoints_and_a_comparison(grpo_kit, model, tmp_path):
    other = tmp_path / "two"
    make_policy(seed=2).save(other)
    more = ["--tasks", "count_letters", "--limit", 12, "-n", 2, "--max-tokens", 8, "--workers", 0, "--no-greedy"]
    shown = grpo_kit("eval", model, other, *more, "--out", "both")
    assert shown.returncode == 0, shown.stderr
    assert {p.name for p in (tmp_path / "both").iterdir()} == {"one", "two"}
    compared = grpo_kit("compare", "both/one", "both/two")
    assert compared.returncode == 0, compared.stderr
    assert "count_letters" in compared.stdout
    assert "warning" not in compared.stdout
    assert grpo_kit("compare", "both").stdout == compared.stdout


def test_greedy_alone(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = ["--tasks", "addition", "--limit", 6, "--temperature", 0, "--max-tokens", 8, "--workers", 0]
    assert invoke(model, *more, "--out", "g") is None
    result, records = read_evaluation(tmp_path / "g")
    assert {r.sample for r in records} == {-1}
    assert result.tasks["addition"].metrics["greedy"]["problems"] == 6


BAD = {
    "unknown task": (["--tasks", "gsm8"], "Did you mean gsm8k?"),
    "local data is missing": (["--tasks", "gsm8k=no.jsonl"], "no such file"),
    "no model": (["--tasks", "addition", "--out", "o"], "holds no model"),
    "no such run": (["--tasks", "addition", "--out", "o"], "runs holds night. Did you mean runs/night/model?"),
    "no runs": (["--tasks", "addition", "--out", "o"], "empty holds no run, checkpoint or model"),
    "resume without out": (["--tasks", "addition", "--resume"], "--resume needs --out"),
    "servers missing": (["--tasks", "addition", "--engine", "vllm_server"], "--server http://"),
    "many greedy": (["--tasks", "addition", "-n", "4", "--temperature", "0"], "same greedy answer"),
    "nothing": (["--tasks", "addition", "-n", "0", "--no-greedy"], "nothing to do"),
    "task twice": (["--tasks", "addition,addition"], "given twice"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_paragraph(case, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, expected = BAD[case]
    (tmp_path / "empty").mkdir()
    (tmp_path / "runs" / "night").mkdir(parents=True)
    (tmp_path / "runs" / "night" / "model").symlink_to(model)
    checkpoint = {"no model": "empty", "no such run": "runs/nigth", "no runs": "./empty/nothing"}.get(case, str(model))
    error = invoke(checkpoint, *arguments)
    assert isinstance(error, UserError)
    assert expected in str(error)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "runs"]


def test_task_files(tmp_path):
    (tmp_path / "t.yaml").write_text("data: {path: x.jsonl}\nverifier: {name: math}\nmax_token: 3\n")
    with pytest.raises(UserError, match=r"t\.yaml:3: unknown key max_token.*Did you mean max_tokens"):
        open_task(str(tmp_path / "t.yaml"))
    rows = [{"question": "1+1", "answer": "2"}, {"question": "1+2", "answer": "3"}]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    task = open_task(str(tmp_path / "mine.jsonl"), limit=1)
    assert (task.name, len(task.problems), task.problems[0].answer) == ("mine", 1, "2")
    assert task.problems[0].prompt.startswith("1+1\nPlease reason")
    (tmp_path / "odd.jsonl").write_text('{"a": "1+1", "b": "2"}\n')
    with pytest.raises(UserError, match="Write a task file"):
        open_task(str(tmp_path / "odd.jsonl"))
    (tmp_path / "endless.yaml").write_text("data: {task: addition}\nverifier: {name: math}\n")
    with pytest.raises(UserError, match=r"say how many of addition to ask, as in `problems: 256`"):
        open_task(str(tmp_path / "endless.yaml"))
    (tmp_path / "ends.yaml").write_text("data: {path: mine.jsonl}\nverifier: {name: math}\nproblems: 3\n")
    with pytest.raises(UserError, match="problems is for procedural tasks; of a file, --limit"):
        open_task(str(tmp_path / "ends.yaml"))


@pytest.mark.parametrize("old_place", [False, True])
def test_a_question_of_several_columns_is_joined_and_none_else_to_choose(tmp_path, old_place):
    (tmp_path / "d.jsonl").write_text(json.dumps({"story": "Two and two.", "ask": " How many?", "gold": "4"}) + "\n")
    task = tmp_path / "t.yaml"

    def write(columns):
        joined = f"prompt_columns: [{columns}]"
        data = f"path: {tmp_path}/d.jsonl, fields: {{answer: gold}}" + ("" if old_place else f", {joined}")
        task.write_text(f"data: {{{data}}}\nverifier: {{name: math}}\n" + (joined if old_place else ""))

    write("story, ask")
    (problem,) = open_task(str(task)).problems
    assert problem.messages[-1]["content"] == "Two and two. How many?"
    with pytest.raises(UserError, match="columns are not for --prompt-field"):
        open_task(str(task), changes=Changes(prompt_field="story"))
    write("storey, ask")
    with pytest.raises(UserError, match=r"prompt_columns: .* has no column 'storey'; .* Did you mean story"):
        open_task(str(task))


@pytest.mark.parametrize("name", shipped_tasks())
def test_shipped_task_files_are_valid_and_their_verifiers_exist(name):
    from grpo_kit.evaluate.tasks import _shipped
    from grpo_kit.verifiers import get_verifier

    spec = _shipped(name)
    get_verifier(spec.verifier.name).with_options(spec.verifier.options)
    if spec.data.task is not None:
        task = open_task(name, limit=20)
        assert len({p.id for p in task.problems}) == 20


LOCAL = {
    "gsm8k": "gsm8k_test",
    "math500": "math500",
    "svamp": "svamp",
    "asdiv": "asdiv",
    "humaneval": "humaneval",
    "mbpp": "mbpp",
}


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the data files are not here")
@pytest.mark.parametrize("name", LOCAL)
def test_local_copies_of_shipped_tasks_and_their_gold_answers(name):
    from grpo_kit.scoring import Scorer, VerifierSpec
    from grpo_kit.types import Completion

    task = open_task(f"{name}={SHARED_DATA / LOCAL[name]}.jsonl", limit=40)
    assert len(task.problems) == 40
    assert re.fullmatch(r"sha256:\w+:rows=\d+", task.fingerprint)
    if task.spec.verifier.name != "math":
        return
    with Scorer([VerifierSpec("math")], workers=0) as scorer:
        for problem in task.problems:
            completion = Completion.of_text(problem.id, 0, f"\\boxed{{{problem.answer}}}")
            ((total, _),) = scorer.score_completions(problem, [completion])
            assert total.value == 1.0, problem
