"""What a finished run offers next can be pasted, and works for what was trained."""

import re
import shlex

import pytest

from grpo_kit.config import Config
from grpo_kit.config.read import load_recipe
from grpo_kit.observe.terminal import PROGRAM
from grpo_kit.run.next_commands import after_training
from tests.kit.tiny import TINY_RECIPE

WARM = "warm_start: {steps: 2, batch_size: 4}\n"
FAMILIES = {
    "grpo": TINY_RECIPE + WARM,
    "dpo": TINY_RECIPE.replace("grpo", "dpo") + WARM + "examples: {demonstrations: true}\n",
    "sft": TINY_RECIPE.replace("grpo", "sft") + "examples: {demonstrations: true}\n",
    "reward_model": TINY_RECIPE.replace("grpo", "reward_model") + WARM + "examples: {demonstrations: true}\n",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_command_works(zygote, family):
    recipe, run = zygote.folder / f"{family}.yaml", f"a run of {family}"
    recipe.write_text(FAMILIES[family] + "evaluation: {tasks: 4, samples: 1}\n")
    # A rate that moves weights whatever was right; the folder's name has blanks, which a shell would split at.
    done = zygote.run("train", recipe, "optimizer.learning_rate=1e-3", "train.steps=2", "--run-dir", run)
    assert "Next:" in done.output or done.code == 1, done.output
    if "Next:" not in done.output:  # nothing was learned of so few samples: what would have been offered
        offered = [words for _, words in after_training(load_recipe(recipe), zygote.folder / run)]
    else:
        found = re.findall(rf"^  ({PROGRAM} .*)$", done.output, re.MULTILINE)
        offered = [shlex.split(line) for line in found]
    assert len(offered) >= 1
    commands = {words[1] for words in offered}
    assert ("rollouts" in commands) == (family == "grpo")
    assert ("eval" in commands) == (family in ("grpo", "dpo"))
    for words in offered:
        extra = {"train": ["--dry-run"], "eval": ["--limit", "2"]}.get(words[1], [])
        outcome = zygote.run(*words[1:], *extra)
        assert outcome.code == 0, (words, outcome.output)


def test_nothing_harder_is_offered_than_there_is(tmp_path):
    def offered(level: int) -> list[str]:
        recipe = {
            "model": {"scratch": {}},
            "data": {"task": "sort_letters", "level": level},
            "verifiers": [{"name": "math"}],
            "train": {"steps": 1},
        }
        return [says for says, _ in after_training(Config.model_validate(recipe), tmp_path)]

    assert "go on, harder" in offered(1)
    assert "go on, harder" not in offered(23)  # 27 different letters would be wanted


@pytest.mark.parametrize(
    ("task", "environment", "asked"),
    [("addition", None, "addition"), ("addition", "guess_number", "run"), ("big_arithmetic", None, "run")],
)
def test_before_and_after_is_asked_as_the_run_was(tmp_path, task, environment, asked):
    recipe = {
        "model": {"scratch": {}},
        "data": {"task": task},
        "warm_start": {"steps": 1},
        "environment": environment and {"name": environment},
        "verifiers": [{"name": "math"}],
        "train": {"steps": 1},
    }
    commands = dict(after_training(Config.model_validate(recipe), tmp_path / "run"))
    words = commands["before and after"]
    assert words[words.index("--tasks") + 1] == {"run": str(tmp_path / "run")}.get(asked, asked)


@pytest.mark.parametrize(("accuracy", "way"), [(None, "harder"), (0.9, "harder"), (0.0, "longer"), (0.3, "longer")])
def test_what_is_mostly_wrong_is_not_made_harder(tmp_path, accuracy, way):
    recipe = {
        "model": {"scratch": {}},
        "data": {"task": "sort_letters", "level": 1},
        "verifiers": [{"name": "math"}],
        "train": {"steps": 7},
    }
    (tmp_path / "checkpoints" / "step-000007").mkdir(parents=True)
    offered = dict(after_training(Config.model_validate(recipe), tmp_path, accuracy=accuracy))
    assert [says for says in offered if says.startswith("go on")] == [f"go on, {way}"]
    if way == "longer":
        assert offered["go on, longer"][-3:] == ["train.steps=14", "--fork", f"{tmp_path}@7"]
