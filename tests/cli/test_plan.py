"""`grpo-kit plan` as a user runs it; nothing is downloaded and nothing is written."""

import re

import pytest
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.config.read import load_recipe
from grpo_kit.config.source import find_recipe, shipped_recipes
from grpo_kit.run.chain import is_chain

TEXTS = {name: find_recipe(name).read_text() for name in shipped_recipes()}
FOR_GPUS = {name: re.search(r"GPUs? of (\d+) GB or more", text) for name, text in TEXTS.items()}
QWEN = "grpo/gsm8k_qwen2.5-0.5b"


def run(*arguments):
    return CliRunner().invoke(app, ["plan", *arguments], catch_exceptions=False)


def test_a_recipe_that_does_not_fit_gets_a_way_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = run(QWEN, "model.path=Qwen/Qwen2.5-7B", "train.token_budget=65536", "--gpus", "8x80GB").stdout
    assert "grpo of 7.62B parameters on 8 x h100" in shown
    assert "does not fit" in shown
    assert "nearest change that fits: train.token_budget=" in shown
    assert "synchronous" in shown
    assert list(tmp_path.iterdir()) == []


def test_the_picture(tmp_path):
    target = tmp_path / "scale.svg"
    shown = run(QWEN, "train.token_budget=4096", "--gpus", "4xa100", "--picture", str(target)).stdout
    assert "does not fit" not in shown
    assert target.stat().st_size > 10_000


def test_a_tiny_model_of_its_own():
    assert "grpo of 0.00B parameters" in run("quickstart/addition", "--gpus", "1x24GB").stdout


@pytest.mark.parametrize("recipe", [name for name, said in FOR_GPUS.items() if said])
def test_a_recipe_fits_the_gpu_that_it_names(recipe):
    processes = re.search(r"--nproc (\d+)", TEXTS[recipe])
    shown = run(recipe, "--gpus", f"{processes[1] if processes else 1}x{FOR_GPUS[recipe][1]}GB").stdout
    assert "peak of a device" in shown
    assert "does not fit" not in shown


def test_recipes_for_models_from_the_hub_name_their_gpu():
    for recipe, said in FOR_GPUS.items():
        if not said and not is_chain(recipe):
            path = load_recipe(recipe).model.path
            assert path is None or path.endswith(".gguf"), recipe  # a file that was fetched is for any machine
