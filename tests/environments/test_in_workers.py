"""The shipped environments and a user's file, where a run plays them: in worker processes, found by name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.environments import Call, EnvironmentSpec
from grpo_kit.environments.base import Answer
from grpo_kit.environments.formats import write
from grpo_kit.environments.opening import Address
from grpo_kit.environments.worker import encode
from grpo_kit.errors import UserError
from grpo_kit.run.start import check_environment
from tests.kit.said import heard, open_episodes, play, prepared, task

FILE = '''
from grpo_kit.environments import tool

class Counter:
    """Counts."""
    def __init__(self):
        self.count = 0

    @tool
    def more(self, by: int = 1) -> int:
        """Count on."""
        self.count += by
        return self.count
'''


def opened(spec, **settings):
    return open_episodes(Address(spec.located()), **settings)


def calls(*made):
    return [write([call], "json") for call in made]


def played(spec, asked, script, samples=2, **settings):
    with opened(spec, **settings) as episodes, episodes.open_round(prepared(episodes, [asked])) as replies:
        ends = play(replies, {(asked.id, sample): script for sample in range(samples)})
    return list(ends.values())


def test_python_has_its_sandbox_in_a_worker():
    script = [*(calls(Call("python", {"code": code}))[0] for code in ("x = 6", "x * 7", "1 / 0")), "The answer is 42."]
    for end in played(EnvironmentSpec("python"), task(), script, timeout=60.0, memory_mb=512):
        assert end.ending == "done"
        told = heard(end)
        assert told[:2] == ["(no output)", "42"]
        assert "ZeroDivisionError" in told[2]


def test_the_lookup_of_word_problems():
    asked = ProceduralSource("tool_word_problems", 1, 0, False).task(0)
    hidden = asked.meta["hidden"]
    script = [*calls(*(Call("lookup", {"name": name}) for name in hidden)), "The answer is 5."]
    for end in played(EnvironmentSpec("tool_word_problems"), asked, script):
        assert heard(end) == list(hidden.values())
        assert (end.ending, end.outcome) == ("done", None)


def test_a_users_tools_by_a_relative_path(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    script = [*calls(Call("more"), Call("more", {"by": 2}), Call("more", {"by": "x"})), "done"]
    spec = EnvironmentSpec(tools=("mine.py:Counter", "calculator"))
    for end in played(spec, task(), script):
        assert heard(end) == ["1", "3", "more: the argument by is 'x': input should be a valid integer."]
        assert [turn.invalid for turn in end.turns] == [0, 0, 1, 0]


@pytest.mark.parametrize("name", ["guess_number", "wordle"])
def test_a_game_that_draws_is_the_same_in_every_process_and_for_all_samples(name):
    script = ["I say 3 crane", "then 4 apple", "50 about", "70 bread", "90 house"]

    def answers(seed):
        [one, other] = played(EnvironmentSpec(name, turns=len(script)), task("drawn"), script, seed=seed)
        assert heard(one) == heard(other)
        return heard(one)

    assert answers(0) == answers(0) != answers(3)


@pytest.mark.parametrize(
    "answer", [Answer(done=True, reward=-1e300), Answer(({"role": "user", "content": "go on"},), turn_reward=1e308)]
)
def test_a_reward_whose_sum_over_turns_would_not_be_finite_is_a_failure(answer):
    with pytest.raises(ValueError, match="at most 1e"):
        encode(answer)


@pytest.mark.parametrize("text", ["class X\n    pass\n", "import no_such_module_of_anybody\n", "1 / 0\n"])
@pytest.mark.parametrize("section", [{"name": "mine.py:X"}, {"tools": ["mine.py:x"]}])
def test_a_users_file_that_cannot_be_imported_is_told_before_a_run(tmp_path, monkeypatch, text, section):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(text)
    config = SimpleNamespace(environment=EnvironmentConfig(**section))
    with pytest.raises(UserError, match=r"mine\.py:[Xx] cannot be imported: .*mine\.py:1\)"):
        check_environment(config)


def test_an_episode_that_could_not_begin_is_a_failure_though_its_turn_was_cut(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "class Mine:\n    def begin(self):\n        1 / 0\n    def reply(self, response):\n        return 'on'\n"
    )
    for end in played(EnvironmentSpec(f"{path}:Mine"), task(), ["cut off"]):
        assert end.ending == "error"
        assert "ZeroDivisionError" in end.outcome.reason
