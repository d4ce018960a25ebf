"""The environments and tools that can be used by name."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest

from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.environments import Call, ToolError, get_environment, tools_environment
from grpo_kit.environments.formats import write
from grpo_kit.environments.lookup import SHIPPED
from grpo_kit.environments.shipped import wordle
from grpo_kit.environments.shipped.calculator import calculator
from grpo_kit.errors import UserError
from grpo_kit.types import Task

ASKED = ({"role": "user", "content": "Begin."},)


def test_every_shipped_name_is_there():
    for name in sorted(set(SHIPPED) - {"search"}):
        assert get_environment(name).name == name


def say(episode, turn):
    text = turn if isinstance(turn, str) else write([turn], "json")
    return episode.reply(text, text)


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize(("task", "name"), [("guess_number", "guess_number"), ("big_arithmetic", "calculator")])
def test_demonstrations_are_answered_as_they_say(task, name, level):
    found = get_environment(name)
    source = ProceduralSource(task, level, 0, False)
    for index, slip in itertools.product(range(20), (False, True)):
        problem = source.problem(index, slip)
        episode = found.open(source.task(index), 0, {})
        assert list(episode.begin()) == []
        for written, reply in problem.turns:
            answer = say(episode, written)
            assert [message["content"] for message in answer.messages] == [reply]
            assert not answer.done
        last = say(episode, problem.demonstration)
        if task == "guess_number":
            assert len(problem.turns) < level + 2
            assert last.reward == (1.0 if problem.demonstration == problem.answer else None)
            assert slip or last.reward == 1.0
        else:
            assert last.done
            assert (problem.answer in problem.demonstration) is not slip


def test_guess_number_of_its_own_is_drawn_by_the_seed():
    found = get_environment("guess_number", options={"low": 5, "high": 5000})
    task = Task("t", ASKED, None)
    answers = [[say(e, "700").messages for e in [found.open(task, seed, {})] if not e.begin()] for seed in (1, 1, 2)]
    assert answers[0] == answers[1]
    secrets = set()
    for seed in range(20):
        episode = found.open(task, seed, {})
        episode.begin()
        secrets.add(episode._objects[0].secret)
    assert len(secrets) > 15


def test_wordle():
    assert wordle.marks("allee", "apple") == "GY--G"
    assert wordle.marks("geese", "merge") == "YG--G"
    assert all(len(word) == 5 and word.isalpha() for word in wordle.WORDS)
    episode = get_environment("wordle", options={"shaped": 1.0}).open(Task("t", ASKED, "bread"), 0, {})
    assert "five letters" in episode.begin()[0]["content"]
    first, second, third = (say(episode, f"I try {word}") for word in ("brick", "crane", "BREAD."))
    assert (first.messages[0]["content"], first.turn_reward) == ("brick GG---", 0.4)
    assert second.turn_reward == 0.0
    assert (third.done, third.reward) == (True, 0.6)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("482*739", "356198"), ("2**10", "1024"), ("(17 + 4) * 2.5", "52.5"), ("-1/8", "-0.125"), ("0.1+0.2", "0.3"),
        ("1/3", "1/3 (about 0.333333333333)"), ("-7//2", "-4"), ("-7 % 3", "2"), ("2**-2", "0.25"), ("1.5e3", "1500"),
        ("6×7−2", "40"), ("1_000", "1000"), ("(-1)**1000001", "-1"), ("0**0", "1"), ("+5", "5"), ("9" * 300, "9" * 300),
    ],
)  # fmt: skip
def test_calculator(expression, result):
    assert calculator(expression) == result


def test_calculator_is_exact():
    draw = random.Random(0)
    for _ in range(300):
        a, b, c = draw.randint(-(10**9), 10**9), draw.randint(1, 10**4), draw.randint(-99, 99)
        text = calculator(f"({a} + {c}) / {b} * {c}")
        assert Fraction(text.partition(" ")[0]) == Fraction(a + c, b) * c


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("1/0", "Division by zero"), ("0**-1", "Division by zero"), ("9**9**9", "too large"), ("10**5000", "too large"),
        ("1e99999", "too large"), ("2**0.5", "whole exponents"), ("__import__('os').system('true')", "Only numbers"),
        
        ("x", "Only numbers"), ("'a'*9", "Only numbers"), ("True", "Only numbers"), ("[1]*9", "Only numbers"),
        ("1 < 2", "Only numbers"),
        ("((", "no arithmetic"), ("", "no arithmetic"), ("\0", "no arithmetic"),
        ("(" * 400 + "1" + ")" * 400, "no arithmetic"),
        ("1" * 1001, "1001 characters"), ("**".join("9" * 300), "too large"), ("1j", "Only numbers"),
    ],
)  # fmt: skip
def test_what_calculator_refuses(expression, said):
    with pytest.raises(ToolError, match=said):
        calculator(expression)


def test_tool_word_problems():
    source = ProceduralSource("tool_word_problems", 2, 0, False)
    for index in range(10):
        task = source.task(index)
        episode = get_environment("tool_word_problems").open(task, 0, {})
        assert list(episode.begin()) == []
        told = [say(episode, Call("lookup", {"name": f"[{n}]"})).messages[0]["content"] for n in task.meta["hidden"]]
        assert told == list(task.meta["hidden"].values())
        unknown = say(episode, Call("lookup", {"name": "Z" * 1000}))
        assert unknown.failed == 1
        assert "there are A" in unknown.messages[0]["content"]
        assert say(episode, "The answer is 5.").done
    with pytest.raises(ValueError, match=r"data.task: tool_word_problems"):
        get_environment("tool_word_problems").open(Task("t", ASKED, "5"), 0, {}).begin()


def test_python_keeps_its_variables_and_says_when_they_are_lost():
    found = get_environment("python", options={"cpu_s": 1.0, "characters": 500})
    one, other = (found.open(Task("t", ASKED, None), 0, {}) for _ in range(2))
    try:
        assert said(one, "x = 20\nprint('hello')") == "hello"
        assert said(one, "2 * x + 2") == "42"
        assert "NameError" in said(other, "x")
        assert "ZeroDivisionError" in said(one, "1 / 0")
        assert said(one, "y = x") == "(no output)"
        assert "characters left out" in said(one, "'a' * 5000")
        text = said(one, "while True: pass")
        assert "next call begins with no variables" in text
        assert said(one, "'x' in dir()") == "False"
    finally:
        one.close()
        other.close()


def said(episode, code):
    answer = say(episode, Call("python", {"code": code}))
    assert (answer.calls, answer.invalid, answer.failed) == (1, 0, 0)
    return answer.messages[0]["content"]


def test_search_without_a_path_or_its_package(tmp_path, monkeypatch):
    import sys

    with pytest.raises(UserError, match="needs the option 'path'"):
        get_environment("search")
    with pytest.raises(UserError, match="needs the option 'path'"):
        tools_environment(["search", "calculator"])
    monkeypatch.setitem(sys.modules, "bm25s", None)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(UserError, match=r'pip install "grpo-kit\[search\]"'):
        get_environment("search", options={"path": str(tmp_path)})
