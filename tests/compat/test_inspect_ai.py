"""Tasks of inspect_ai on a checkpoint: what is said and scored is what its own `hf` provider says and scores."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.compat.inspect_ai import scorer
from grpo_kit.errors import UserError
from tests.kit.tiny import teacher_folder

TASKS = Path(__file__).with_name("inspect_tasks.py")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_numbers_are_those_of_its_own_provider():
    pytest.importorskip("inspect_ai", reason='inspect-ai is missing: pip install "grpo-kit[inspect]"')
    from inspect_ai import eval as run_inspect
    from inspect_ai.log import read_eval_log
    from inspect_ai.model import get_model

    tasks = f"inspect:{TASKS}@said,inspect:{TASKS}@judged"
    arguments = ["eval", str(teacher_folder()), "--tasks", tasks, "--device", "cpu", "--out", "found"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(Path("found/harness.json").read_text())["tasks"]
    logs = {log.eval.task: log for log in map(read_eval_log, map(str, Path("found/inspect").iterdir()))}
    model = get_model("hf/teacher", model_path=str(teacher_folder()), device="cpu", do_sample=False)
    for name in ("said", "judged"):
        (theirs,) = run_inspect(f"{TASKS}@{name}", model=model, display="none", log_dir="theirs")
        assert theirs.status == "success", theirs.error
        said = [sample.output.completion for sample in logs[name].samples]
        assert said == [sample.output.completion for sample in theirs.samples]
        (score,) = theirs.results.scores
        (row,) = [row for row in found if row["task"] == f"inspect:{name}"]
        assert (row["metric"], row["value"]) == ("accuracy", score.metrics["accuracy"].value)
        assert row["error"] == pytest.approx(score.metrics["stderr"].value)
        assert row["problems"] == 6


def test_without_the_package(monkeypatch):
    monkeypatch.delitem(sys.modules, "grpo_kit.compat.inspect_ai.scoring", raising=False)
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    monkeypatch.setitem(sys.modules, "inspect_ai.scorer", None)
    with pytest.raises(UserError, match=r"pip install .grpo-kit\[inspect\]"):
        scorer("math")
