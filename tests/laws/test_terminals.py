"""Law 17: every command that draws works in a terminal, of 80 columns and of 200; nothing hangs, and no word is cut.

What is asserted is what stands on the screen, which pyte renders from what was sent to a pseudo-terminal.
"""

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.report_runs import make_run
from tests.kit.terminal import Terminal, assert_no_word_is_cut
from tests.kit.terminal_server import TerminalServer
from tests.kit.tiny import TINY_RECIPE

pytestmark = pytest.mark.slow  # whose folder is that of a model which was trained for minutes
STEPS = 24  # of the README's command: enough to be above its start by far
COLOUR = r"\x1b\[(?:[\d;]*;)?(?:[349][0-7]|38;5;\d+|48;5;\d+)m"
MOVES = r"\x1b(?!\[[0-9;]*m)"
SMALL = (
    TINY_RECIPE
    + """\
threads: 1
warm_start: {steps: 20, batch_size: 8}
evaluation: {tasks: 8, samples: 2}
"""
)


@pytest.fixture(scope="module")
def server():
    made = TerminalServer()
    yield made
    made.close()


@pytest.fixture
def small(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which the README's command has run in a terminal of 80 columns: the first part of its steps."""
    folder = tmp_path_factory.mktemp("terminal")
    terminal = Terminal("train", "quickstart/addition", f"train.steps={STEPS}", "--run-dir", "run", cwd=folder)
    return folder, terminal.end()


def test_the_readme_command_trains_in_a_terminal(trained):
    _, shown = trained
    assert shown.code == 0, shown.text
    assert any(line.startswith("warm start ━━━━━━━━━━ 500/500") for line in shown.lines), shown.text
    bar = f"grpo ━━━━━━━━━━ {STEPS}/{STEPS}"
    assert any(line.startswith(bar) and "reward 0." in line for line in shown.lines), shown.text
    row = rf"│ after step {STEPS} +│ +\d+\.\d% \[\d+\.\d%, \d+\.\d%\] │ +\d+\.\d% │"
    assert re.search(row, shown.text), shown.text
    assert f"╭─ step {STEPS}, reward " in shown.text
    assert "grpo-kit rollouts run" in shown.text
    assert shown.raw.rstrip().endswith("report.html")
    assert shown.raw.rindex("\x1b[?25h") > shown.raw.rindex("\x1b[?25l"), "the cursor is left hidden"


def test_the_readme_command_learns(trained):
    """Clearly above its start at held-out problems, by more than three standard errors."""
    folder, _ = trained
    rows = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    evaluations = [r for r in rows if "eval/sampled" in r]
    first, last = evaluations[0], evaluations[-1]
    assert first["eval/sampled"] < 0.6
    error = (first["eval/sampled_error"] ** 2 + last["eval/sampled_error"] ** 2) ** 0.5
    assert last["eval/sampled"] - first["eval/sampled"] > 3 * error
    assert last["eval/greedy"] > 0.9


def test_ctrl_c_saves_and_resume_goes_on(server, small):
    words = ("train", "small.yaml", "train.steps=4000", "optimizer.schedule=constant", "--run-dir", "my run")
    terminal = Terminal(*words, cwd=small, server=server)
    terminal.wait_for(r"grpo[^\r]* [1-9]\d*/4000")
    terminal.interrupt()
    shown = terminal.end()
    assert shown.code == 75, shown.text
    assert "SIGINT: saving and stopping" in shown.text
    found = re.search(r"stopped after step (\d+)\. Go on:\n  (grpo-kit .*)", shown.text)
    assert found, shown.text
    assert (small / "my run" / "checkpoints" / f"step-{int(found[1]):06d}").is_dir()
    steps = int(found[1]) + 2
    resumed = shlex.split(found[2])[1:]  # as pasted: the folder's name has a blank
    again = Terminal(*resumed[:2], f"train.steps={steps}", *resumed[2:], cwd=small, server=server).end()
    assert again.code == 0, again.text
    assert f"resumed after step {found[1]}" in again.text
    assert any(f" {steps}/{steps} " in line for line in again.lines), again.text


def test_a_second_ctrl_c_stops_at_once_and_a_resize_does_not_matter(server, small):
    words = ("train", "small.yaml", "train.steps=4000", "--run-dir", "run")
    terminal = Terminal(*words, cwd=small, server=server, columns=120)
    terminal.wait_for(r"grpo[^\r]* [1-9]\d*/4000")
    terminal.resize(80)
    terminal.wait_for(r"grpo[^\r]* [1-9]\d*/4000")
    terminal.interrupt()
    terminal.interrupt()
    shown = terminal.end()
    assert shown.code == 75, shown.text
    assert "\x1b[?25h" in shown.raw
    assert shown.raw.rindex("\x1b[?25h") > shown.raw.rindex("\x1b[?25l"), "the cursor is left hidden"


@pytest.mark.parametrize(
    ("environment", "present", "absent"),
    [
        ({"TERM": "dumb"}, ["grpo 3/3  reward", "warm start 20/20  loss"], MOVES),
        ({"NO_COLOR": "1"}, ["grpo ━━━━━━━━━━ 3/3"], COLOUR),
        ({"LANG": "C"}, ["+- step 3, reward", " 3/3", "0.0% [0.0%, ", "| after step 3 |"], r"[^\x00-\x7f]"),
        ({"COLUMNS": "200"}, [f"grpo {'━' * 24} 3/3"], r"\x1b\]"),
    ],
    ids=["dumb", "no_color", "ascii", "columns"],
)
def test_what_a_terminal_cannot_show_is_not_sent(server, small, environment, present, absent):
    columns = int(environment.get("COLUMNS", 80))
    words = ("train", "small.yaml", "--run-dir", "run")
    shown = Terminal(*words, cwd=small, server=server, environment=environment, columns=columns).end()
    for text in present:
        assert text in shown.text, shown.text
    ours = "\n".join(line for line in shown.raw.split("\n") if not line.startswith("│ "))  # not what the model wrote
    assert not re.search(absent, ours), ascii(ours)


@pytest.fixture(scope="module")
def evaluated(trained, server):
    """Two evaluations of the trained folder, made in terminals of 80 and of 200 columns."""
    folder, _ = trained
    shown = {}
    for columns, model in ((80, "warm_start"), (200, "model")):
        words = ("eval", f"run/{model}", "--tasks", "addition", "-n", "2", "--limit", "8", "--out", f"evals/{model}")
        shown[columns] = Terminal(*words, cwd=folder, server=server, columns=columns).end()
    outputs = [{"id": i, "response": f"\\boxed{{{i}}}", "answer": str(i + i % 2), "label": True} for i in range(4)]
    (folder / "outputs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in outputs))
    make_run(folder / "made", steps=2)
    return folder, shown


def test_eval_draws_its_progress_and_its_table(evaluated):
    _, shown = evaluated
    for columns, name in ((80, "warm_start"), (200, "model")):
        assert shown[columns].code == 0, shown[columns].text
        assert "accuracy ± s.e." in " ".join(shown[columns].text.split()) or columns == 80
        assert re.search(rf"written: evals/{name}$", shown[columns].text, re.MULTILINE)
        assert max(map(len, shown[columns].lines)) <= columns
    assert "not shown at 80 columns" in shown[80].text or "model " in shown[80].text


COMMANDS = {
    "algorithms": (["algorithms"], ["dr_grpo", "ppo_clip", "group_mean / none"]),
    "doctor": (["doctor"], ["transformers", "engine", "ok"]),
    "recipes": (["recipes", "ls"], ["quickstart/addition"]),
    "verifiers": (["verifiers", "ls"], ["json_schema"]),
    "environments": (["environments", "ls"], ["tool_word_problems"]),
    "environment": (["environments", "show", "guess_number"], ["policy", "reward 1"]),
    "environment test": (["environments", "test", "guess_number"], ["PASS", "control characters"]),
    "key": (["config", "explain", "rollout.max_staleness"], ["read by grpo_kit/train/assemble.py", "default: 0"]),
    "section": (["config", "explain", "limits"], ["limits.hacking", "config explain KEY"]),
    "metric": (["metrics", "mismatch/kl"], ["nats per token", "worrying: above 0.1"]),
    "metrics": (["metrics"], ["verifier/*/latency_p95", "tokens_per_second"]),
    "plan": (["plan", "quickstart/addition", "--gpus", "4x24GB"], ["peak of a device", "synchronous", "optimizer"]),
    "dry run": (["train", "quickstart/addition", "--dry-run"], ["memory: at its peak", "dry run: nothing was written"]),
    "compare": (["compare", "evals/warm_start", "evals/model"], ["McNemar", "difference"]),
    "score": (["score", "outputs.jsonl", "--label-field", "label", "--workers", "0"], ["differ from the label"]),
    "rollouts": (["rollouts", "made", "--limit", "6"], ["completions", "and "]),
    "one rollout": (["rollouts", "made", "--show", "0"], ["╭─ prompt ─", "gold", "group"]),
    "report": (["report", "made"], ["made/report.html"]),
    "replay": (["replay", "run", "--step", "1"], ["recorded", "replayed"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_at_80_columns_and_at_200(evaluated, server, name):
    folder, _ = evaluated
    words, present = COMMANDS[name]
    narrow, wide = (Terminal(*words, cwd=folder, server=server, columns=columns).end() for columns in (80, 200))
    for shown, columns in ((narrow, 80), (wide, 200)):
        assert shown.code == 0, shown.text
        assert max(map(len, shown.lines)) <= columns
        for text in present if columns == 200 else present[:1]:
            assert text in shown.text, shown.text
    note = next((line for line in narrow.lines if line.startswith("not shown at")), "")
    said = " ".join(narrow.lines[narrow.lines.index(note) :]) if note else ""
    assert_no_word_is_cut(narrow, wide, [*re.sub(r"\d+", "0", said).split(), "..."])


def test_what_a_model_wrote_cannot_reach_the_terminal(server, tmp_path):
    hostile = "\x1b[2J\x1b]0;owned\x07[/INST] x[/red] [bold]y :smile: \x9b31m\rover\u202e \\boxed{[a,b]} \ud83d"
    run = make_run(tmp_path / "made", steps=1, group=2)
    path = next((run / "rollouts").glob("*.gz"))
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    for row in rows:
        row.update(response=hostile, answer="[a,b]", finish_reason="[/x]", prompt=hostile)
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    for words in (["rollouts", "made"], ["rollouts", "made", "--show", "0"]):
        shown = Terminal(*words, cwd=tmp_path, server=server, columns=200).end()
        assert shown.code == 0, shown.text
        for text in (
            "[bold]y",
            ":smile:",
            "\\boxed{[a,b]}",
            "[a,b]",
            *(("[/INST]", "x[/red]") if "--show" in words else ()),
        ):
            assert text in shown.text, (text, shown.text)
        assert not re.search(rf"{MOVES}|\x07|\x9b|\u202e", shown.raw), ascii(shown.raw)


def test_a_locale_without_letters_and_a_closed_pipe(tmp_path):
    script = Path(sys.executable).with_name("grpo-kit")
    ascii_only = {**os.environ, "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    shown = subprocess.run([script, "recipes", "ls"], env=ascii_only, cwd=tmp_path, capture_output=True, check=True)
    assert shown.stdout.isascii()
    assert b"quickstart/addition" in shown.stdout
    for words in ("algorithms", "recipes ls", "recipes show ppo/chain", "config schema"):
        closed = f"set -o pipefail; {script} {words} | head -1"
        ended = subprocess.run(["bash", "-c", closed], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, ""), words
