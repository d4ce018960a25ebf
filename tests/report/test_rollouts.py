"""The terminal's view of completions."""

import io

import pytest
from rich.console import Console

from grpo_kit.errors import UserError
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.observe.terminal import SafeConsole
from grpo_kit.report.conversation import conversation, ended
from grpo_kit.report.rollouts import Choice, choose, read_rows, show_list, show_one
from grpo_kit.report.terminal import show_examples
from grpo_kit.runtime.condition import condition
from grpo_kit.types import Turn
from tests.kit.episodes import episode_groups
from tests.kit.report_runs import HOSTILE_TEXTS, make_run


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


@pytest.fixture
def episodes(run):
    made = episode_groups()
    RunDirectory(run).log_rollouts(11, made, [[0.0] * len(g.completions) for g in made])
    return run


def test_a_list_with_episodes_says_how_many_turns_and_why_they_ended(episodes, capsys):
    show_list(Console(width=180), read_rows(episodes, None), 3)
    shown = capsys.readouterr().out
    assert "turns" in shown
    assert "deadline" not in shown
    cells = [[cell.strip() for cell in line.split("│")] for line in shown.splitlines() if " turn " in line]
    assert [row for row in cells if "done" in row and "2" in row and "tokens" not in row]
    assert [row for row in cells if "turns" in row and "3" in row]
    show_list(Console(width=180), read_rows(episodes, "1"), 3)
    assert "turns" not in capsys.readouterr().out


def test_an_episode_is_shown_turn_by_turn(episodes, capsys):
    rows = choose(read_rows(episodes, None), Choice(search="turn 2 of 0/1"))
    assert [row.sample for row in rows] == [1]
    show_one(Console(width=180), rows[0], rows)
    shown = capsys.readouterr().out
    said = ["question 0", "turn 0 of 0/1", "reply 0", "turn 1 of 0/1", "reply 1", "turn 2 of 0/1"]
    assert [shown.index(text) for text in said] == sorted(shown.index(text) for text in said)
    for title in (
        "user, prompt",
        "tool, inserted",
        "turn 2, sampled, ",
        "2 calls (1 not understood), paid 0.25, 0.50 s",
    ):
        assert title in shown
    assert "sample 1, ended: out of turns, after 3 turns, 6 calls" in shown
    assert choose(read_rows(episodes, None), Choice(search="REPLY 2"))


def test_counts_of_one_are_singular_and_what_nobody_said_leaves_no_comma(episodes, capsys):
    turns = [Turn(0, "a", calls=1), Turn(1, "b", invalid=1)]
    assert [each.note for each in conversation([], turns, 3)] == ["1 token, 1 call", "2 tokens, 1 not understood"]
    assert ended(turns, "done").endswith("after 2 turns, 1 call")
    row = read_rows(episodes, None)[0]
    row.scores["game"] = {"value": 1.0, "status": "ok", "extracted": None, "reason": ""}
    show_one(Console(width=180), row, [row])
    assert "game: 1" in [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_sampled_and_inserted_text_have_colours_of_their_own(episodes):
    rows = read_rows(episodes, None)
    console = SafeConsole(file=io.StringIO(), force_terminal=True, width=80, color_system="standard")
    show_one(console, rows[0], rows[:1])
    drawn = console.file.getvalue()
    assert "\x1b[36m" in drawn.split("turn 1")[0].splitlines()[-1]  # cyan
    assert "\x1b[33m" in drawn.split("tool, inserted")[0].splitlines()[-1]  # yellow


@pytest.mark.parametrize("terminal", [False, True])
def test_printed_examples_of_a_step_are_conversations(terminal):
    console = SafeConsole(file=io.StringIO(), force_terminal=terminal, width=120)
    show_examples(RunConsole(console), 3, episode_groups((2,)))
    shown = console.file.getvalue()
    for text in (
        "step 3, reward 1, right, ended: the environment said so, after 2 turns",
        "turn 2 (sampled): turn 1 of 0/0",
        "reply 0",
    ):
        assert text in shown


@pytest.mark.parametrize("hostile", HOSTILE_TEXTS)
def test_what_an_environment_says_cannot_drive_the_terminal(hostile):
    (group,) = episode_groups((1,))
    (episode,) = group.completions
    text = hostile[:5000].encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    role = {"role": text[:300], "content": text}
    episode.turns = [Turn(0, text, (role,)), Turn(2, text)]
    for terminal in (False, True):
        console = SafeConsole(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
        show_examples(RunConsole(console), 3, [group])
        assert not set(console.file.getvalue()) & set("\x00\x1b\x07\x7f\x9b\u202e\u2028")
