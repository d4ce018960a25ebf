"""`train --smoke`: any recipe, every stage, in seconds."""

import json

import pytest

from grpo_kit.config.read import load_recipe
from grpo_kit.config.source import shipped_recipes
from grpo_kit.run.chain import is_chain, load_chain
from grpo_kit.run.smoke import SHORT, smoke_overrides


@pytest.mark.parametrize("recipe", shipped_recipes())
def test_every_shipped_recipe_becomes_short(recipe, tmp_path):
    short = smoke_overrides(recipe)
    stages = load_chain(recipe, short, tmp_path).values() if is_chain(recipe) else [load_recipe(recipe, short)]
    for config in stages:
        assert config.train.steps == SHORT["train.steps"]
        assert config.warm_start is None or config.warm_start.steps == SHORT["warm_start.steps"]
        assert config.evaluation is None or config.evaluation.tasks == SHORT["evaluation.tasks"]


def test_what_the_recipe_lacks_is_not_added_and_the_command_line_wins(zygote, tiny_recipe):
    assert [o.partition("=")[0] for o in smoke_overrides(str(tiny_recipe))] == [
        "train.steps",
        "rollout.prompts_per_step",
        "verifiers",
    ]
    done = zygote.run("train", tiny_recipe, "--smoke", "train.steps=1", "--run-dir", "smoke")
    assert done.code == 0, done.output
    steps = [json.loads(line)["step"] for line in (zygote.folder / "smoke" / "metrics.jsonl").read_text().splitlines()]
    assert max(steps) == 1, done.output


def test_a_chain_is_tried_to_its_last_stage(zygote):
    done = zygote.run("train", "ppo/chain", "--smoke", "--run-dir", "chain")
    assert done.code == 0, done.output
    assert "stage 4 of 4: ppo" in done.output
    assert (zygote.folder / "chain" / "ppo" / "model").is_dir()


def test_what_learns_from_right_responses_finds_some(zygote):
    """An algorithm that selects by the verdict is not moved by a reward: two steps in, no verdict of math is "right"."""
    done = zygote.run("train", "imitation/rft", "--smoke", "--run-dir", "selected")
    assert done.code == 0, done.output
    rows = [json.loads(line) for line in (zygote.folder / "selected" / "metrics.jsonl").read_text().splitlines()]
    assert any(row.get("grad_norm", 0) > 0 for row in rows), rows
