"""The class form and the tool form: what is given, what may come back, and errors that name the place."""

from __future__ import annotations

import asyncio
import enum
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

import numpy
import pytest

from grpo_kit.environments import Call, Done, Say, ToolError, environment, get_environment, tool, tools_environment
from grpo_kit.environments.base import Answer
from grpo_kit.environments.classes import as_text
from grpo_kit.environments.formats import write
from grpo_kit.environments.lookup import SHIPPED
from grpo_kit.environments.register import REGISTRY, assemble, of_class, of_function
from grpo_kit.errors import UserError
from grpo_kit.types import Task

TASK = Task("t", ({"role": "user", "content": "Guess."},), 37, {"width": 5})


@pytest.fixture(autouse=True)
def _clean_registry():
    before = dict(REGISTRY)
    yield
    for name in set(REGISTRY) - set(before) - set(SHIPPED):
        del REGISTRY[name]


def opened(made, **options):
    return assemble([of_class(made)]).open(TASK, 7, options)


class Guess:
    def begin(self, task, random):
        self.secret = task.answer
        return f"{random.random():.4f}"

    def reply(self, response: str):
        n = int(response.split()[-1])
        if n == self.secret:
            return Done(1.0)
        return Say("higher", reward=0.1) if n < self.secret else {"role": "tool", "content": "lower"}


def test_the_class_form():
    episode = opened(Guess)
    assert episode.begin() == [{"role": "user", "content": f"{random.Random(7).random():.4f}"}]
    assert episode.reply("I say 20", "") == Answer(({"role": "user", "content": "higher"},), turn_reward=0.1)
    assert episode.reply("50", "") == Answer(({"role": "tool", "content": "lower"},))
    assert episode.reply("37", "") == Answer(done=True, reward=1.0)
    episode.close()


def returning(result):
    class Mine:
        def reply(self, response):
            return result

    return opened(Mine)


@pytest.mark.parametrize(
    ("result", "contents"),
    [("a", ["a"]), (["a", {"role": "tool", "content": "b"}], ["a", "b"]), (Say("\ud800", 1), ["?"])],
)
def test_what_may_come_back(result, contents):
    assert [m["content"] for m in returning(result).reply("x", "x").messages] == contents


@pytest.mark.parametrize(
    "result",
    [None, 1, [], {"role": "assistant", "content": "I am you"}, {"role": "system", "content": "b"},
     {"role": "user"}, {"role": "user", "content": 1}, ["a", 1],
     Done(math.nan), Done("1"), Say("a", math.inf), (Done(1.0), "bye")],
)  # fmt: skip
def test_what_may_not_come_back(result):
    with pytest.raises(TypeError, match=r"Mine.reply \(.*test_register.py:\d+\)"):
        returning(result).reply("x", "x")


def test_async_methods_share_a_loop_and_close_is_called():
    seen = []

    class Mine:
        async def begin(self, task):
            self.loop = asyncio.get_running_loop()

        async def reply(self, response, raw):
            assert asyncio.get_running_loop() is self.loop
            return f"{response}/{raw}"

        async def close(self):
            seen.append("closed")

    episode = opened(Mine)
    assert episode.begin() == []
    assert episode.reply("a", "b").messages[0]["content"] == "a/b"
    episode.close()
    assert seen == ["closed"]


def test_a_turn_that_is_not_understood():
    class Mine:
        def reply(self, response):
            raise ToolError("Say a number.")

    answer = returning("x") and opened(Mine).reply("x", "x")
    assert answer == Answer(({"role": "user", "content": "Say a number."},), invalid=1)


def test_options_are_the_constructors():
    class Mine:
        def __init__(self, low: int, high: int = 10):
            self.low, self.high = low, high

        def reply(self, response):
            return f"{self.low}..{self.high}"

    part = of_class(Mine)
    made = assemble([part], options={"low": 3})
    assert made.open(TASK, 0, {}).reply("", "").messages[0]["content"] == "3..10"
    assert made.open(TASK, 0, {"high": 4}).reply("", "").messages[0]["content"] == "3..4"
    with pytest.raises(UserError, match=r"'Mine'.*no option 'hihg'; it has: low, high. Did you mean high"):
        assemble([part], options={"low": 1, "hihg": 3})
    with pytest.raises(UserError, match=r"needs the option 'low': environment.options.low"):
        assemble([part])


def test_what_a_class_checks_before_a_run():
    class Mine:
        def __init__(self, most: int = 1):
            self.most = most

        @staticmethod
        def check(most=1):
            if most < 1:
                raise UserError("most is at least 1")

        def reply(self, response):
            return "x"

    assert assemble([of_class(Mine)], options={"most": 2})
    with pytest.raises(UserError, match="most is at least 1"):
        assemble([of_class(Mine)], options={"most": 0})


class Wrong:
    class NoReply:
        def begin(self):
            return "x"

    class WantsText:
        def reply(self, respons):
            return "x"

    class WantsWorld:
        def begin(self, world):
            return "x"

        def reply(self, response):
            return "x"

    class NoSelf:
        def reply(response):
            return "x"


@pytest.mark.parametrize(
    ("made", "settings", "message"),
    [
        (Wrong.NoReply, {}, "answers no turn.*reply.*@tool"),
        (Wrong.WantsText, {}, "reply wants 'respons'.*response, raw.*Did you mean response"),
        (Wrong.WantsWorld, {}, "begin wants 'world'"),
        (Guess, {"turns": 0}, "turns a whole one of at least 1"),
        (Guess, {"timeout": 0}, "a number above 0, of seconds"),
        (Guess, {"timeout": "2"}, "a number above 0, of seconds"),
        (Guess, {"turns": 2.5}, "a whole one of at least 1"),
        (Guess, {"cases": []}, "cases is a function"),
        (Wrong.NoSelf, {}, "the first parameter of reply is self"),
    ],
)
def test_classes_that_are_no_environments(made, settings, message):
    with pytest.raises(UserError, match=rf"(?s)test_register.py:\d+.*{message}"):
        of_class(made, **settings)


def test_a_name_that_is_taken():
    environment(name="twice")(Guess)
    environment(name="twice")(Guess)  # a file that is loaded again

    with pytest.raises(UserError, match=r"'twice' is taken by .*test_register.py"):

        @environment(name="twice")
        class Other:
            def reply(self, response):
                return "x"


def test_a_name_of_the_kits_own_is_taken_before_its_module_is_loaded(monkeypatch):
    monkeypatch.delitem(REGISTRY, "guess_number", raising=False)
    with pytest.raises(UserError, match="'guess_number' is taken by this kit"):
        environment(name="guess_number")(Guess)


def test_static_and_class_methods_have_no_self():
    class Static:
        @staticmethod
        def reply(response):
            return Done(float(response))

        @classmethod
        def begin(cls, task):
            return task.answer

    episode = opened(Static)
    assert episode.reply("2", "2") == Answer(done=True, reward=2.0)


def test_cases_that_cannot_be_had():
    part = of_class(Guess, cases=lambda: [1 / 0])
    with pytest.raises(UserError, match=r"its cases cannot be had: ZeroDivisionError: division by zero \(.*:\d+\)"):
        assemble([part])


# -- tools -----------------------------------------------------------------------------------------------------------


@tool
def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: the first
    """
    return a + b


class Notes:
    """Keeps what it is told."""

    def __init__(self):
        self.kept = []

    @tool
    def keep(self, text: str) -> str:
        """Keep a text."""
        self.kept.append(text)
        return f"{len(self.kept)} kept"

    @tool(name="recall", timeout=3.0)
    def give_back(self) -> list[str]:
        """All that was kept."""
        if not self.kept:
            raise ToolError("nothing was kept")
        return self.kept

    @tool
    async def end(self, reward: float) -> Done:
        """End the game."""
        return Done(reward)

    @tool
    def paid(self) -> Say:
        """Earn something."""
        return Say("paid", reward=0.5)


def played(parts, *turns, format="hermes"):
    episode = assemble(parts, format=format).open(TASK, 0, {})
    assert list(episode.begin()) == []
    return [episode.reply(raw, raw) for raw in (t if isinstance(t, str) else write(t, format) for t in turns)]


def contents(answer):
    assert all(message["role"] == "tool" for message in answer.messages)
    return [message["content"] for message in answer.messages]


def test_the_tool_form():
    two = [Call("add", {"a": 2, "b": 3}), Call("keep", {"text": "x"})]
    both, recalled, paid, answer = played(
        [of_function(add), of_class(Notes)], two, [Call("recall")], [Call("paid")] * 2, "The answer is 5."
    )
    assert (contents(both), both.calls, both.invalid) == (["5", "1 kept"], 2, 0)
    assert contents(recalled) == ['["x"]']
    assert paid.turn_reward == 1.0
    assert answer == Answer(done=True)


def test_state_lives_for_an_episode():
    part = of_class(Notes)
    first, second = (assemble([part], format="json").open(TASK, 0, {}) for _ in range(2))
    call = write([Call("keep", {"text": "x"})], "json")
    assert [contents(e.reply(call, call)) for e in (first, second, first)] == [["1 kept"], ["1 kept"], ["2 kept"]]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (Call("ad", {"a": 1}), "There is no tool 'ad'; there are: add, keep, recall, end, paid. Did you mean add?"),
        (Call("add", {}), "add: the argument a is missing."),
        (Call("add", {"a": "1"}), "add: the argument a is '1': input should be a valid integer."),
        (Call("add", {"a": True}), "add: the argument a is True: input should be a valid integer."),
        (Call("add", {"a": 1, "bb": 2}), "add: there is no argument 'bb' (did you mean b?); it takes a, b."),
    ],
)
def test_faults_of_content_say_what_would_be_right(call, said):
    [answer] = played([of_function(add), of_class(Notes)], [call])
    assert (contents(answer), answer.calls, answer.invalid, answer.failed) == ([said], 1, 1, 0)


def test_failures_of_the_tool():
    [answer] = played([of_class(Notes)], [Call("recall")])
    assert (contents(answer), answer.invalid, answer.failed) == (["nothing was kept"], 0, 1)
    [answer] = played([of_class(Notes)], [Call("end", {"reward": 0.25}), Call("keep", {"text": "x"})])
    assert (answer.done, answer.reward, answer.messages) == (True, 0.25, ())


def test_what_a_tool_raises_beside_is_ours():
    @tool
    def breaks(x: int) -> int:
        """Break."""
        return x // 0

    with pytest.raises(ZeroDivisionError):
        played([of_function(breaks)], [Call("breaks", {"x": 1})])


def test_long_results_are_cut():
    @tool
    def much() -> str:
        """Much."""
        return "x" * 10**6

    [answer] = played([of_function(much)], [Call("much")])
    assert re.search(r"x\n\.\.\. \(\d+ characters left out\) \.\.\.\nx", contents(answer)[0])
    assert len(contents(answer)[0]) < 17_000


def test_tools_and_a_reply_in_one_class():
    class Both(Notes):
        def reply(self, response):
            return Done(1.0) if response == "done" else "Use a tool."

    call, talk, end = played([of_class(Both)], [Call("keep", {"text": "x"})], "hello", "done")
    assert contents(call) == ["1 kept"]
    assert talk.messages[0]["content"] == "Use a tool."
    assert (end.done, end.reward) == (True, 1.0)


def test_schemas():
    environment = assemble([of_function(add)])
    assert environment.tools == (
        {
            "type": "function",
            "function": {
                "name": "add",
                "description": "Add two numbers.",
                "parameters": {
                    "type": "object",
                    "properties": {"a": {"type": "integer", "description": "the first"}, "b": {"type": "integer", "default": 1}},
                    "required": ["a"],
                },
            },
        },
    )  # fmt: skip
    assert add(1, 2) == 3
    assert of_class(Notes).timeout == 10.0


def untyped(a, b: int) -> int:
    """Add."""
    return a + b


def silent(a: int) -> int:
    return a


def open_ended(**more: int) -> int:
    """Add."""
    return 0


def of_objects(a: Guess) -> int:
    """Add."""
    return 0


def of_functions(a: Callable[[int], int]) -> int:
    """Add."""
    return 0


def of_nothing(a: Missing) -> int:  # type: ignore[name-defined]  # noqa: F821
    """Add."""
    return 0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (untyped, "parameter 'a' has no type.*write `a: str`"),
        (silent, "no docstring"),
        (open_ended, r"takes \*\*more, which"),
        (of_objects, "of a type that cannot be given as JSON.*use str, int"),
        (of_functions, "of a type that cannot be given as JSON [^\n]*; use str, int"),
        (of_nothing, "types cannot be read.*Missing"),
    ],
)
def test_functions_that_are_no_tools(function, message):
    with pytest.raises(UserError, match=rf"tool '{function.__name__}' \(.*test_register.py:\d+\).*{message}"):
        of_function(function)


class Colour(enum.Enum):
    red = "red"


@dataclass
class Place:
    x: int
    title: str = "here"


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"b", "a", "c"}, '["a", "b", "c"]'),
        ({"found": frozenset({10, 9})}, '{"found": [10, 9]}'),
        ({frozenset({8, 1}), frozenset({2})}, "[[1, 8], [2]]"),
        (Place(3), '{"x": 3, "title": "here"}'),
        ([Colour.red], '["red"]'),
        ({"n": numpy.int64(3), "m": numpy.float32(0.5)}, '{"n": 3, "m": 0.5}'),
        (None, "(no result)"),
        (Fraction(1, 3), '"1/3"'),
    ],
)
def test_results_are_written_as_json(result, text):
    """Sets in one order: theirs differs from process to process, and a call that is made again must be answered alike."""
    assert as_text(result) == text


def test_what_begins_can_be_told_apart_from_what_replies():
    class Pays:
        def begin(self):
            return Done(1.0)

        def reply(self, response):
            return "x"

    with pytest.raises(
        TypeError, match=r"returned Done\(reward=1.0\); return text, a message of .*, or a list of these$"
    ):
        played([of_class(Pays)], ["a"])


def test_types_that_a_call_can_give():
    @tool
    def go(
        at: Place, colour: Colour, how: Literal["fast", "slow"], by: Annotated[list[int], "steps"] | None = None
    ) -> str:
        """Go."""
        return f"{at} {colour} {how} {by}"

    given = {"at": {"x": 1}, "colour": "red", "how": "slow", "by": [1, 2]}
    [answer] = played([of_function(go)], [Call("go", given)])
    assert contents(answer) == ["Place(x=1, title='here') Colour.red slow [1, 2]"]
    for wrong in ({"at": {"y": 1}}, {"colour": "blue"}, {"how": "so"}, {"by": ["1"]}, {"at": 1}):
        [answer] = played([of_function(go)], [Call("go", {**given, **wrong})])
        assert answer.invalid == 1
    parameters = of_function(go).tools[0].schema["function"]["parameters"]
    assert parameters["properties"]["by"] == {"type": "array", "items": {"type": "integer"}, "nullable": True}
    assert parameters["$defs"]["Place"]["properties"]["title"] == {"type": "string", "default": "here"}


def test_a_static_method_is_no_tool():
    class Mine:
        @tool
        @staticmethod
        def act() -> str:
            """Act."""
            return ""

    with pytest.raises(UserError, match=r"tool Mine.act .*mark a plain method"):
        of_class(Mine)


def test_long_complaints_are_cut():
    class Mine:
        def reply(self, response):
            raise ToolError(response)

    assert len(opened(Mine).reply("x" * 10**6, "").messages[0]["content"]) < 17_000


def test_a_tool_that_shadows_another():
    class Adder:
        @tool
        def add(self, a: int) -> int:
            """Add."""
            return a

    with pytest.raises(
        UserError, match=r"two tools called 'add', in .*test_register.py:\d+ and .*test_register.py:\d+"
    ):
        assemble([of_function(add), of_class(Adder)])


def test_parameters_may_be_called_as_methods_of_a_model_are():
    @tool
    def odd(schema: str, copy: int, model_config: bool, json: str, self: int) -> str:
        """Odd."""
        return f"{schema}{copy}{model_config}{json}{self}"

    [answer] = played(
        [of_function(odd)], [Call("odd", {"schema": "a", "copy": 1, "model_config": True, "json": "b", "self": 2})]
    )
    assert contents(answer) == ["a1Trueb2"]


# -- lookup ----------------------------------------------------------------------------------------------------------

FILE = '''
from grpo_kit.environments import environment, tool, Done

@environment(name="{name}", turns=3, version="2")
class Game:
    """A game."""
    def reply(self, response):
        return Done(len(response))

class Child(Game):
    pass

@tool
def shout(text: str) -> str:
    """Shout."""
    return text.upper()
'''


def test_lookup_by_file_module_and_name(tmp_path, monkeypatch):
    path = tmp_path / "game.py"
    path.write_text(FILE.format(name="mygame"))
    found = get_environment(f"{path}:Game")
    assert (found.name, found.turns, found.version[:2], found.origin) == ("mygame", 3, "2-", f"{path}:4")
    assert get_environment("mygame").version == found.version
    assert get_environment(f"{path}:Child").name == "Child"
    both = tools_environment([f"{path}:shout", "calculator"], turns=5)
    assert [schema["function"]["name"] for schema in both.tools] == ["shout", "calculator"]
    assert both.turns == 5
    monkeypatch.chdir(tmp_path)
    assert get_environment("game.py:shout").tools[0]["function"]["name"] == "shout"
    with pytest.raises(UserError, match=r"no environment or tool named 'calclator'.*Did you mean calculator"):
        get_environment("calclator")
    with pytest.raises(UserError, match=r"no class or function 'Gam'.*Game.*Did you mean Game"):
        get_environment("game.py:Gam")
    with pytest.raises(UserError, match="no such environment file"):
        get_environment("missing.py:Game")
    with pytest.raises(UserError, match=r"game.py:Game has no tools; use it as environment.name"):
        tools_environment(["game.py:Game"])
    with pytest.raises(UserError, match="names no tool"):
        tools_environment([])


def test_the_version_changes_with_the_file(tmp_path):
    versions = set()
    for number, text in enumerate((FILE, FILE + "\nWORDS = 1\n", FILE)):
        path = tmp_path / f"game{number}.py"
        path.write_text(text.format(name="same"))
        versions.add(get_environment(f"{path}:Child").version)
        del REGISTRY["same"]
    assert len(versions) == 2
    assert get_environment("guess_number").version == "1"


def test_lookup_by_entry_point(tmp_path, monkeypatch):
    info = tmp_path / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[grpo_kit.environments]\nplugged = plugin_game:shout\n")
    (tmp_path / "plugin_game.py").write_text(FILE.format(name="plugin_game"))
    monkeypatch.syspath_prepend(tmp_path)
    assert get_environment("plugged").tools[0]["function"]["name"] == "shout"


def test_another_process_finds_the_same(tmp_path, monkeypatch):
    from grpo_kit.environments import EnvironmentSpec

    (tmp_path / "game.py").write_text(FILE.format(name="elsewhere"))
    monkeypatch.chdir(tmp_path)
    get_environment("game.py:Game")
    file = str(tmp_path / "game.py")
    assert EnvironmentSpec("elsewhere").located().name == f"{file}:Game"
    spec = EnvironmentSpec(tools=("game.py:shout", "calculator"), format="llama").located()
    assert spec.tools == (f"{file}:shout", "calculator")
    assert spec.find().name == "shout+calculator"
    assert EnvironmentSpec("guess_number").located().name == "guess_number"

    @environment(name="hidden")
    class Hidden(Guess):
        pass

    with pytest.raises(UserError, match=r"'hidden'.*cannot be found by a worker process"):
        EnvironmentSpec("hidden").located()


def test_an_error_in_the_users_file_is_its_own(tmp_path):
    (tmp_path / "broken.py").write_text("x = 1\n1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        get_environment(f"{tmp_path}/broken.py:Game")
