"""What an error tells to do works when it is done, and it speaks of what was typed."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.config import ModelConfig
from grpo_kit.config.read import load_recipe
from tests.kit.tiny import TINY_RECIPE

CHANCE = "{name: 'grpo_kit.run.smoke_reward:by_chance'}"
LINEAR = TINY_RECIPE.replace("1.0e-3}", "1.0e-3, schedule: linear}")


@pytest.fixture(scope="module")
def finished(zygote):
    """A run of three steps under a schedule that ends with it."""
    (zygote.folder / "advice.yaml").write_text(
        LINEAR.replace(
            "- {name: math, weight: 1.0}",
            "- {name: math, weight: 1.0}\n  - {name: 'grpo_kit.run.smoke_reward:by_chance'}",
        )
    )
    done = zygote.run("train", "advice.yaml", "train.save_every=1", "train.keep_last=9", "--run-dir", "an end")
    assert done.code in (0, 1), done.output
    assert (zygote.folder / "an end" / "model").is_dir(), done.output
    return zygote.folder / "an end"


def commands_in(text):
    joined = text.replace("\\\n", " ")
    return [
        shlex.split(c)[1:] for c in re.findall(r"grpo-kit train (?!RECIPE).*", joined) for c in [f"grpo-kit {c[9:]}"]
    ]


def test_a_finished_run_goes_on_as_it_is_told(zygote, finished):
    refused = zygote.run("train", "an end/config.yaml", "--run-dir", "an end", "--resume")
    assert refused.code == 2
    assert "3 of 3 steps are done" in refused.output
    (advised,) = commands_in(refused.output)
    assert "--fork" in advised
    assert "an end@3" in advised
    went_on = zygote.run(*advised, "--run-dir", "longer")
    assert "forked after step 3 of an end" in went_on.output, went_on.output
    changed = zygote.run("train", "an end/config.yaml", "train.steps=6", "--run-dir", "an end", "--resume")
    assert changed.code == 2
    assert commands_in(changed.output) == [advised], changed.output


def test_an_endless_schedule_is_told_to_resume(zygote):
    (zygote.folder / "endless.yaml").write_text(TINY_RECIPE.replace("steps: 3", "steps: 1"))
    zygote.run("train", "endless.yaml", "optimizer.schedule=constant", "--run-dir", "endless")
    refused = zygote.run("train", "endless/config.yaml", "--run-dir", "endless", "--resume")
    assert "train.steps=2 would go on" in refused.output, refused.output
    went_on = zygote.run("train", "endless/config.yaml", "train.steps=2", "--run-dir", "endless", "--resume")
    assert "resumed after step 1" in went_on.output, went_on.output


def test_a_fork_that_is_not_there_is_called_a_fork(zygote, finished):
    refused = zygote.run("train", "an end/config.yaml", "train.steps=9", "--fork", "an end@7")
    assert refused.code == 2
    assert "error: --fork an end@7: " in refused.output
    assert "there are: 1, 2, 3" in refused.output
    assert "--resume" not in refused.output


def test_replay_names_steps_that_were_taken(zygote, finished):
    refused = zygote.run("replay", "an end", "--step", "9")
    assert refused.code == 2
    for checkpoint in sorted((finished / "checkpoints").iterdir())[:1]:
        checkpoint.rename(finished / "elsewhere")
    try:
        refused = zygote.run("replay", "an end", "--step", "2")
    finally:
        (finished / "elsewhere").rename(checkpoint)
    assert "Steps that can be replayed: 1, 3." in refused.output, refused.output


def test_a_verifier_that_fails_on_gold_answers_has_failed_in_no_step(zygote):
    (zygote.folder / "flaky.py").write_text("def flaky(response, answer):\n    raise RuntimeError('no such table')\n")
    refused = zygote.run("train", "quickstart/addition", "verifiers.0.name=flaky.py:flaky", "--dry-run")
    assert refused.code == 2, refused.output
    assert "does not accept the gold answer of" in refused.output
    assert "no such table" in refused.output
    assert "in a row" not in refused.output


def test_a_plan_has_levers_for_the_cache():
    command = [
        "plan",
        "quickstart/addition",
        "--gpus",
        "1x2GB",
        "rollout.max_tokens=4000",
        "rollout.prompts_per_step=256",
    ]
    shown = CliRunner().invoke(app, [*command, "rollout.max_rows=2048", "train.token_budget=4096"]).stdout
    assert "does not fit" in shown
    assert "nearest change that fits: rollout.max_rows=" in shown, shown
    change = re.search(r"fits: (\S+)", shown)[1]
    assert "does not fit" not in CliRunner().invoke(app, [*command, "train.token_budget=4096", change]).stdout
    hopeless = CliRunner().invoke(app, [*command, "rollout.group_size=4096", "rollout.prompts_per_step=1"]).stdout
    assert re.search(r"largest part\s+is key-value cache, at most .*: lower rollout.max_tokens", hopeless), hopeless


def test_home_is_home_wherever_a_path_is_written(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ModelConfig(path="~/m").path == f"{tmp_path}/m"
    assert load_recipe("quickstart/addition", ["model.path=~/m"]).model.path == f"{tmp_path}/m"
    shown = CliRunner().invoke(app, ["train", "quickstart/addition", "--dry-run", "--run-dir", "~/x/run"])
    assert shown.exit_code == 0, shown.output
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").write_text("")
    refused = CliRunner().invoke(app, ["train", "quickstart/addition", "--dry-run", "--run-dir", "~/taken"])
    assert str(taken) in str(refused.exception)


@pytest.mark.parametrize(
    "command", ["train", "eval", "plan", "recipes cp", "verifiers new", "score", "rollouts", "doctor"]
)
def test_help_ends_with_an_example(command):
    shown = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="grpo-kit").stdout
    assert re.search(rf"Examples?:\n +grpo-kit {command}", shown), shown


def test_a_name_too_long_for_a_folder_is_one_line(zygote):
    refused = zygote.run("train", "quickstart/addition", "--dry-run", "--run-dir", "a" * 300)
    assert refused.code == 2
    assert "--run-dir" in refused.output
    assert "Traceback" not in refused.output
