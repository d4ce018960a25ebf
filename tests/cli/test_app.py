"""The console script, as a user runs it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.kit.patience import HANGS, wait_until
from tests.kit.tiny import TINY_RECIPE


def files_in(folder):
    return sorted(p.name for p in folder.iterdir())


SCRIPT = Path(sys.executable).with_name("grpo-kit")


def test_the_script_that_is_installed_says_what_every_other_test_is_told(grpo_kit):
    """Others fork a process that has imported everything: what they are told is what a user is."""
    words = ("train", "no/such/recipe")
    real = subprocess.run([SCRIPT, *words], capture_output=True, text=True, timeout=HANGS, check=False)
    forked = grpo_kit(*words)
    assert (forked.returncode, forked.stdout, forked.stderr) == (real.returncode, real.stdout, real.stderr)
    assert real.returncode == 2
    assert (
        subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True).stdout
        == grpo_kit("--help").stdout
    )


def test_help_and_version(grpo_kit):
    shown = grpo_kit("--help")
    assert shown.returncode == 0
    assert {"train", "recipes", "config", "doctor", "verifiers"} <= set(
        re.findall(r"^\s+([a-z]+)\s", shown.stdout, re.MULTILINE)
    )
    assert grpo_kit("--version").stdout.startswith("grpo-kit 0.")


def test_help_does_not_import_torch():
    code = "import sys\nsys.argv = ['grpo-kit', '--help']\nfrom grpo_kit.cli.app import main\n"
    code += "try: main()\nexcept SystemExit: pass\nprint({'torch', 'transformers', 'pydantic'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip().endswith("set()")


def test_recipes(grpo_kit, tmp_path):
    assert "quickstart/addition" in grpo_kit("recipes", "ls").stdout
    assert "task: addition" in grpo_kit("recipes", "show", "quickstart/addition").stdout
    copied = grpo_kit("recipes", "cp", "quickstart/addition", "mine.yaml")
    assert copied.returncode == 0, copied.stderr
    assert (tmp_path / "mine.yaml").is_file()
    again = grpo_kit("recipes", "cp", "quickstart/addition", "mine.yaml")
    assert (again.returncode, "exists" in again.stderr) == (2, True)


def test_config_schema_and_resolve(grpo_kit, tiny_recipe):
    schema = json.loads(grpo_kit("config", "schema").stdout)
    assert "rollout" in schema["properties"]
    resolved = yaml.safe_load(grpo_kit("config", "resolve", tiny_recipe, "seed=7").stdout)
    assert (resolved["seed"], resolved["rollout"]["temperature"]) == (7, 1.0)


def test_doctor_names_versions_engines_and_fixes(grpo_kit):
    shown = grpo_kit("doctor")
    assert shown.returncode == 0, shown.stderr
    assert "torch" in shown.stdout
    assert "cores" in shown.stdout


def test_dry_run_shows_the_plan_and_writes_nothing(grpo_kit, tiny_recipe, tmp_path):
    before = files_in(tmp_path)
    shown = grpo_kit("train", tiny_recipe, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    for expected in ("3 steps", "memory", "prompt 1:", "<|user|>", "gold of addition/", "-> 1"):
        assert expected in shown.stdout
    assert files_in(tmp_path) == before


def train(grpo_kit, recipe, *more):
    result = grpo_kit("train", recipe, "--run-dir", "run", *more)
    assert result.returncode == 0, result.stderr
    return result


def metrics_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_everything_a_reader_needs(grpo_kit, tiny_recipe, tmp_path):
    shown = train(grpo_kit, tiny_recipe, "evaluation.tasks=8", "evaluation.samples=2")
    run = tmp_path / "run"
    assert {"config.yaml", "environment.json", "metrics.jsonl", "rollouts", "checkpoints", "model", "curve.svg"} <= set(
        files_in(run)
    )
    assert "Held-out accuracy" in shown.stdout
    assert "Next:" in shown.stdout
    steps = [m for m in metrics_of(run) if "reward/mean" in m]
    assert [m["step"] for m in steps] == [1, 2, 3]
    wanted = {
        "reward/std", "groups/all_right", "groups/all_wrong", "advantage/mean_abs", "kl/reference", "length/mean",
        "length/truncated", "learning_rate", "tokens_per_second", "seconds/generate", "seconds/unaccounted",
        "verifier/math/mean", "mismatch/max_logprob_difference",
    }  # fmt: skip
    assert wanted <= set().union(*steps)
    assert len(list((run / "rollouts").glob("*.gz"))) == 3
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(run / "model")


def deterministic(metrics):
    return [{k: v for k, v in m.items() if not k.startswith(("seconds", "tokens_per", "utilisation"))} for m in metrics]


def strip_latency(metrics):
    return [{k: v for k, v in m.items() if "latency" not in k} for m in metrics]


def test_the_same_seed_gives_the_same_metrics(grpo_kit, tiny_recipe, tmp_path):
    for name in ("a", "b"):
        assert grpo_kit("train", tiny_recipe, "--run-dir", name).returncode == 0
    first, second = (strip_latency(deterministic(metrics_of(tmp_path / n))) for n in ("a", "b"))
    assert first == second


def test_resume_after_an_interrupt_equals_a_run_without_one(grpo_kit, tmp_path):
    recipe = tmp_path / "long.yaml"
    recipe.write_text(TINY_RECIPE.replace("steps: 3", "steps: 40"))
    assert grpo_kit("train", recipe, "--run-dir", "straight").returncode == 0
    process = subprocess.Popen(
        [str(SCRIPT), "train", str(recipe), "--run-dir", "cut"],
        cwd=tmp_path,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
        },  # as the others have it: sums over more threads are rounded otherwise
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "cut" / "metrics.jsonl"

    def is_under_way():
        assert process.poll() is None, "the run ended before it could be interrupted"
        return log.is_file() and log.read_text().count("\n") >= 3

    wait_until(is_under_way, "three steps of the run")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=HANGS)
    assert process.returncode == 75, errors
    assert "continue with --resume" in errors
    resumed = grpo_kit("train", recipe, "--run-dir", "cut", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    straight, cut = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("straight", "cut"))
    assert straight == cut
    first, second = (strip_latency(deterministic(metrics_of(tmp_path / n))) for n in ("straight", "cut"))
    assert first == second
    leftover = tmp_path / "cut" / "checkpoints" / ".writing-old-step-000001"  # of a kill in the middle of removing it
    leftover.mkdir()
    finished = grpo_kit("train", recipe, "--run-dir", "cut", "--resume")
    assert not leftover.exists()
    assert (finished.returncode, "this run is finished" in finished.stderr) == (2, True)


BAD_INPUT = {
    "unknown key": (["train.stepz=3"], "unknown key train.stepz"),
    "wrong type": (["train.steps=many"], "train.steps: found 'many'"),
    "missing data file": (["data.task=null", "data.path=no.jsonl"], "no such file"),
    "empty data file": (["data.task=null", "data.path=empty.jsonl"], "is empty"),
    "gold that cannot be read": (["data.task=null", "data.path=bad_gold.jsonl"], "does not accept the gold answer"),
    "prompts too long for the context": (["rollout.max_tokens=500"], "do not fit the model's context of 512"),
    "no prompt short enough": (["data.max_prompt_tokens=3"], "data.max_prompt_tokens: no prompt"),
    "group of one": (["rollout.group_size=1"], "leaves nothing to compare"),
    "run directory exists": (["--run-dir", "taken"], "never reused"),
    "run directory is a file": (["--run-dir", "empty.jsonl"], "never reused"),
    "model folder is missing": (["model.path=./nothing"], "is not a model folder: it does not exist"),
    "model folder is not one": (["model.path=taken"], "is not a model folder: it has no config.json"),
    "model of no run": (["model.path=./taken/nothing"], "it does not exist. taken holds no run, checkpoint or model."),
    "critic of no run": (
        ["algorithm=ppo", "critic.path=./taken/nothing"],
        "critic.path: ./taken/nothing is not a model folder",
    ),
    "verifier unknown": (["verifiers.0.name=mth"], "no verifier named 'mth'"),
    "verifier file missing": (["verifiers.0.name=no.py:f"], "no such verifier file"),
    "resume without a run": (["--resume"], "--resume needs --run-dir"),
    "resume of something else": (["--resume", "--run-dir", "taken"], "is not a run directory"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
@pytest.mark.parametrize("dry", [True, False])
def test_bad_input_is_one_paragraph_and_touches_nothing(grpo_kit, tiny_recipe, tmp_path, case, dry):
    if dry and "resume" in case:
        pytest.skip("resuming has no dry run")
    (tmp_path / "empty.jsonl").touch()
    row = {"prompt": "x" * 5, "answer": "not } readable {"}
    (tmp_path / "bad_gold.jsonl").write_text("".join(json.dumps(row) + "\n" for _ in range(8)))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "precious.txt").write_text("keep me")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    arguments, expected = BAD_INPUT[case]
    result = grpo_kit("train", tiny_recipe, *arguments, *(["--dry-run"] if dry else []))
    assert result.returncode == 2, result.stderr
    assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_no_space_left(tiny_recipe, tmp_path, monkeypatch):
    import shutil

    from grpo_kit.config.read import load_recipe
    from grpo_kit.errors import UserError
    from grpo_kit.train.preflight import preflight

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(UserError, match="MB free and this run needs about"):
        preflight(load_recipe(tiny_recipe), tmp_path / "run")
