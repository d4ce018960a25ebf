"""The terminal's view of completions."""

import pytest
from rich.console import Console

from grpo_kit.errors import UserError
from grpo_kit.report.rollouts import Choice, choose, read_rows, show_list, show_one
from grpo_kit.runtime.condition import condition
from tests.kit.report_runs import make_run


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def test_conditions():
    assert condition("2-5", "-")(5)
    assert not condition("2-5", "-")(6)
    assert condition("> -1", "-")(0)
    assert condition("1", "-")(1.0)
    with pytest.raises(UserError, match="--score 'much'"):
        condition("much", "--score")


def test_the_last_step_is_shown_unless_another_is_asked_for(run):
    assert {row.step for row in read_rows(run, None)} == {10}
    assert {row.step for row in read_rows(run, "2-3")} == {2, 3}
    with pytest.raises(UserError, match="steps 1 to 10"):
        read_rows(run, "77")
    with pytest.raises(UserError, match="no rollouts"):
        read_rows(run / "rollouts", None)


def test_choosing_and_sorting(run):
    rows = read_rows(run, "1-10")
    assert all(row.advantage > 0 for row in choose(rows, Choice(advantage="> 0")))
    assert {row.finish for row in choose(rows, Choice(stop="length"))} == {"length"}
    assert len(choose(rows, Choice(search="ONERROR"))) == 1
    assert {row.problem for row in choose(rows, Choice(task="3+1"))} == {"3+1="}
    surprise = [-sum(row.token_values["logprob"]) for row in choose(rows, Choice(sort="surprise"))]
    assert surprise == sorted(surprise, reverse=True)
    with pytest.raises(UserError, match="--sort size"):
        choose(rows, Choice(sort="size"))


def test_what_is_printed(run, capsys):
    rows = read_rows(run, "1")
    console = Console(width=180)
    show_list(console, rows, 3)
    show_one(console, rows[0], rows)
    shown = capsys.readouterr().out
    assert "16 completions" in shown
    assert "and 13 more" in shown
    assert "onerror=" in shown
    assert shown.count("\\boxed") >= 5  # the completion, and the four of its group
