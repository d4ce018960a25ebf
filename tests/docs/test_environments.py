"""The examples of docs/environments.md, as they stand there."""

import contextlib
import io
import re
import shlex

import pytest
import yaml
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.config import DataConfig
from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.environments import EnvironmentSpec
from grpo_kit.environments.classes import LONGEST_RESULT
from grpo_kit.environments.formats import FORMATS, MOST_CALLS
from grpo_kit.environments.lookup import SHIPPED
from grpo_kit.environments.register import REGISTRY
from grpo_kit.environments.selftest import LONGEST_ANSWER, examine
from tests.kit.places import ROOT

PAGE = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def files(tmp_path, monkeypatch):
    before = dict(REGISTRY)
    for block in blocks("python"):
        if named := re.match(r"# (\w+\.py)\n", block):
            (tmp_path / named[1]).write_text(block)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(REGISTRY) - set(before) - set(SHIPPED):
        del REGISTRY[name]


@pytest.mark.parametrize("reference", ["guess.py:Guess", "units.py:convert", "notes.py:Notes"])
def test_files_of_the_page_pass_the_self_test(files, reference):
    case = blocks("python")[3]
    cases = (
        [eval(case, {"Case": __import__("grpo_kit.environments").environments.Case})] if "guess" in reference else None
    )
    assert [row for row in examine(EnvironmentSpec(reference), cases) if row.problem] == []


def test_without_the_line_the_test_fails_as_the_page_says(files):
    text = (files / "guess.py").read_text()
    short = re.sub(r"        if not words.*?whole number.\"\)\n", "", text, flags=re.DOTALL).replace(
        '"guess"', '"short"'
    )
    (files / "short.py").write_text(short)
    case = blocks("python")[3]
    cases = [eval(case, {"Case": __import__("grpo_kit.environments").environments.Case})]
    found = {row.label: row.problem for row in examine(EnvironmentSpec("short.py:Guess"), cases) if row.problem}
    assert "IndexError" in found["empty"]
    assert "ValueError" in found["1 MB of x"]


def test_commands_of_the_page(files):
    for line in "".join(blocks("console")).splitlines():
        command = shlex.split(line.removeprefix("$ "), comments=True)
        result = CliRunner().invoke(app, command[1:])
        assert result.exit_code == 0, result.output


def test_sections_of_the_page_are_recipes(files):
    for block in blocks("yaml"):
        section = yaml.safe_load(block)
        environment = EnvironmentConfig.model_validate(section["environment"])
        assert EnvironmentSpec(environment.name, environment.tools).find().turns >= 1
        if len(section["environment"]) > 2:
            assert set(section["environment"]) == set(EnvironmentConfig.model_fields) - {"tools"}
        if "data" in section:
            assert DataConfig.model_validate(section["data"]).task == "guess_number"


def test_the_python_of_the_page():
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(blocks("python")[-1], {})
    assert said.getvalue().splitlines() == ["lower", "['calculator']"]


def test_names_and_numbers_of_the_page():
    assert set(re.findall(r"^\| `(\w+)` \| (?!any|nothing|the)", PAGE, re.MULTILINE)) >= set(SHIPPED) | set(FORMATS)
    for number in (f"{LONGEST_RESULT:,}", f"{LONGEST_ANSWER:,}", f"{MOST_CALLS} calls"):
        assert number in PAGE
