"""docs/course.md: its numbers are the recorded ones, they can be measured again, and what it names is there."""

import json
import re
import shlex
import sys

import pytest
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.config.read import load_recipe
from grpo_kit.errors import UserError
from grpo_kit.objective.rows import Objective, values_of
from tests.kit.places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import course

PAGE = (ROOT / "docs" / "course.md").read_text(encoding="utf-8")
RECORDED = json.loads(course.RESULTS.read_text(encoding="utf-8"))
PARTS = re.split(r"^## \d+\. ", PAGE, flags=re.MULTILINE)[1:]


def block(name):
    return PAGE.partition(f"<!-- course_{name}: begin -->\n")[2].partition(f"\n<!-- course_{name}: end -->")[0]


def test_there_is_a_chapter_with_a_picture_and_a_command_for_each_measurement():
    assert list(RECORDED) == list(course.CHAPTERS)
    assert len(PARTS) == len(course.CHAPTERS)
    for name, part in zip(course.CHAPTERS, PARTS, strict=True):
        assert f"<!-- course_{name}: begin -->" in part
        assert f"python benchmarks/course.py --only {name}\n" in part
        assert f"](course/{name}.svg)" in part
        assert (ROOT / "docs" / "course" / f"{name}.svg").is_file()
        assert len(re.findall(r"^- \*[^*]+\?\*|^- \*[^*]+\.\*", part, re.MULTILINE)) >= 2, "questions of an interview"


@pytest.mark.parametrize("name", course.CHAPTERS)
def test_the_numbers_of_the_page_are_the_recorded_ones(name):
    assert block(name) == course.CHAPTERS[name].table(RECORDED[name])


def test_measured_numbers_in_the_text_stand_in_the_chapters_table():
    """A number in bold is measured: the table beside it has it."""
    numbers = 0
    for name, part in zip(course.CHAPTERS, PARTS, strict=True):
        for number in re.findall(r"\*\*(-?[\d.,]+)( ?%)?\*\*", part.replace(block(name), "")):
            written = "".join(number).replace(" ", "")
            assert re.search(rf"(?<![\d.]){re.escape(written)}(?![\d.]*\d)", block(name)), f"{name}: {written}"
            numbers += 1
    assert numbers > 10


@pytest.mark.parametrize("name", ["kl", "sac", "recipe"])
def test_what_is_recorded_can_be_measured_again(name, tmp_path):
    same(course.measured(name, tmp_path), RECORDED[name])


def same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            same(a, b)
    else:
        assert one == (pytest.approx(other, rel=1e-4, abs=1e-6) if isinstance(other, float) else other)


def commands():
    for text in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL):
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words[0] == "grpo-kit":
                yield words[1:]


@pytest.mark.parametrize("words", list(commands()), ids=lambda words: " ".join(words))
def test_its_commands_run(words):
    """What trains is read as it would be, and the rest is run; the one that is to be refused is."""
    if words[0] == "train" and "--dry-run" not in words:
        assert load_recipe(words[1], [w for w in words[2:] if "=" in w]) if words[1] != "ppo/chain" else True
        assert {w for w in words[2:] if "=" not in w} <= {"--smoke"}
        return
    result = CliRunner().invoke(app, words)
    if "objective.kl_estimator=k1" in words:
        assert isinstance(result.exception, UserError)
        assert "gradient of zero in expectation" in str(result.exception)
    else:
        assert result.exit_code == 0, result.output


def test_choices_and_functions_that_it_names_exist():
    named = re.findall(r"`(\w+): ([\w.]+)`", PAGE)
    choices = [(key, value) for key, value in named if key in Objective.model_fields]
    assert len(choices) > 15
    assert [
        (k, v) for k, v in choices if values_of(k) and v.lower() not in {str(x).lower() for x in values_of(k)}
    ] == []
    functions = re.findall(r"`(\w+\.py):(\w+)`", PAGE)
    assert len(functions) > 8
    for file, name in functions:
        texts = [path.read_text(encoding="utf-8") for path in (ROOT / "grpo_kit").rglob(file)]
        assert any(re.search(rf"^(def {name}\(|{name}\b)", text, re.MULTILINE) for text in texts), f"{file}:{name}"
