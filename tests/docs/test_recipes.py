"""The examples of docs/recipes.md, as they stand there."""

import re
import shlex
from pathlib import Path

import yaml
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.config.read import load_recipe
from grpo_kit.config.source import find_recipe, shipped_bases, shipped_recipes
from grpo_kit.run.chain import load_chain
from tests.kit.places import ROOT

PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_files_and_commands_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in blocks("yaml"):
        Path(re.match(r"# (\S+)\n", text)[1]).write_text(text)
    for line in blocks("bash")[0].splitlines():
        result = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
        assert result.exit_code == 0, f"{line}\n{result.output}"
    config = load_recipe("mine.yaml")
    assert (config.algorithm, config.objective.model_dump(exclude_unset=True), config.evaluation) == (
        "rloo",
        {"beta": 0.01},
        None,
    )
    stages = load_chain("chain.yaml", [], tmp_path)
    assert stages["grpo"].model.path == f"{tmp_path}/sft/model"


def test_the_page_names_every_base_and_what_is_whole():
    assert set(re.findall(r"^\| `(bases/\w+)` ", PAGE, re.MULTILINE)) == set(shipped_bases())
    whole = {name for name in shipped_recipes() if "extends" not in yaml.safe_load(find_recipe(name).read_text())}
    assert set(re.findall(r"`(\w+/[\w.-]+)`", PAGE.partition("Whole in one file")[2].partition("The others")[0])) == whole
