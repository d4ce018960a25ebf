"""Classes as other frameworks want them, run unchanged. None of these packages is imported."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from grpo_kit.environments import Call, get_environment
from grpo_kit.environments.base import Answer
from grpo_kit.environments.formats import write
from grpo_kit.environments.register import REGISTRY, assemble, of_class
from grpo_kit.errors import UserError
from grpo_kit.types import Task

TASK = Task("t", ({"role": "user", "content": "Count to three."},), "3", {"width": 5})


def opened(made, seed=7, **options):
    return assemble([of_class(made)], format="json", options=options).open(TASK, seed, {})


def say(episode, turn):
    text = turn if isinstance(turn, str) else write([turn], "json")
    return episode.reply(text, text)


def content(answer):
    [message] = answer.messages
    return message["content"]


class Counting:
    """gymnasium's protocol."""

    def __init__(self, goal=3):
        self.goal = goal

    def reset(self, *, seed=None, options=None):
        self.at, self.seed = 0, seed
        return f"At 0, seed {seed}.", {}

    def step(self, action):
        self.at += int(action)
        return f"At {self.at}.", 0.5, self.at == self.goal, self.at > self.goal, {}

    def close(self):
        self.closed = True


class OldCounting(Counting):
    """Of before gymnasium."""

    def reset(self):
        return super().reset()[0]

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated or truncated, info


@pytest.mark.parametrize(("made", "seed"), [(Counting, 7), (OldCounting, None)])
def test_gymnasium(made, seed):
    episode = opened(made, goal=2)
    assert list(episode.begin()) == [{"role": "user", "content": f"At 0, seed {seed}."}]
    assert say(episode, " 1\n") == Answer(({"role": "user", "content": "At 1."},), turn_reward=0.5)
    assert say(episode, "1") == Answer(done=True, reward=0.5)
    episode.close()
    assert episode._objects[0].inner.closed
    assert say(opened_and_begun(made), "4").done
    with pytest.raises(UserError, match=r"no option 'gaol'.*Did you mean goal"):
        opened(made, gaol=3)


def opened_and_begun(made):
    episode = opened(made)
    episode.begin()
    return episode


class Space:
    n, start = 3, 1


class Numbered(Counting):
    """With numbered actions, seen as it is drawn."""

    action_space, render_mode = Space(), "ansi"

    def step(self, action):
        assert type(action) is int
        return super().step(action)

    def render(self):
        return f"\x1b[41m{self.at}\x1b[0m of {self.goal}"


def test_gymnasium_with_numbered_actions():
    episode = opened(Numbered)
    assert list(episode.begin()) == [{"role": "user", "content": "[0] of 3"}]
    assert content(say(episode, "I take 2, no, 1.")) == "[1] of 3"
    for turn in ("", "left", "0", "4", "9" * 10**6, "1000000000002"):
        refused = say(episode, turn)
        assert (content(refused), refused.invalid) == ("Say a number from 1 to 3.", 1)
    assert say(episode, "2").done


class Bank:
    """TRL's environment_factory."""

    def __init__(self):
        self.balance = 0

    def reset(self, width, **kwargs):
        self.balance = width
        return f"You have {width}."

    def pay(self, amount: int) -> str:
        """Pay something.

        Args:
            amount: how much
        """
        if amount > self.balance:
            raise ValueError("not so much is there")
        self.balance -= amount
        return f"{self.balance} left"

    async def ask(self) -> int:
        """Ask for the balance."""
        return self.balance

    def get_reward(self):
        return 1.0 if self.balance == 0 else 0.0

    def _secret(self):
        return 1


def test_trl():
    episode = opened(Bank)
    assert [s["function"]["name"] for s in assemble([of_class(Bank)]).tools] == ["ask", "pay"]
    assert list(episode.begin()) == [{"role": "user", "content": "You have 5."}]
    assert content(say(episode, Call("pay", {"amount": 2}))) == "3 left"
    refused = say(episode, Call("pay", {"amount": 20}))
    assert (content(refused), refused.failed) == ("ValueError: not so much is there", 1)
    assert content(say(episode, Call("ask"))) == "3"
    assert say(episode, Call("pay", {"amount": "1"})).invalid == 1
    assert content(say(episode, Call("pay", {"amount": 3}))) == "0 left"
    assert say(episode, "I paid all.") == Answer(done=True, reward=1.0)

    class Untyped(Bank):
        def give(self, amount):
            """Give."""

    with pytest.raises(UserError, match=r"'give'.*parameter 'amount' has no type"):
        of_class(Untyped)


SCHEMA = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add to the sum.",
        "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    },
}


class Response:
    def __init__(self, text):
        self.text = text


class Adder:
    """verl's BaseTool."""

    def __init__(self, config: dict, tool_schema=None):
        self.config, self.tool_schema = config, tool_schema or self.get_openai_tool_schema()
        self.sums, self.released = {}, []

    def get_openai_tool_schema(self):
        return SCHEMA

    async def create(self, instance_id=None, ground_truth=None, **kwargs):
        self.sums[instance_id] = 0
        self.goal = int(ground_truth)
        return instance_id, Response(None)

    async def execute(self, instance_id, parameters, **kwargs):
        self.sums[instance_id] += parameters["n"]
        return Response(f"sum {self.sums[instance_id]}"), 0.25, {}

    async def calc_reward(self, instance_id, **kwargs):
        return float(self.sums[instance_id] == self.goal)

    async def release(self, instance_id, **kwargs):
        del self.sums[instance_id]


def test_verl():
    assert assemble([of_class(Adder)]).tools == (SCHEMA,)
    episode = opened(Adder)
    assert list(episode.begin()) == []
    first = say(episode, Call("add", {"n": 1}))
    assert (content(first), first.turn_reward) == ("sum 1", 0.25)
    for arguments, words in (({}, "n"), ({"n": "1"}, "integer"), ({"n": 1, "m": 2}, "no argument 'm'; it takes n")):
        wrong = say(episode, Call("add", arguments))
        assert wrong.invalid == 1
        assert words in content(wrong)
    assert content(say(episode, Call("add", {"n": 2}))) == "sum 3"
    assert say(episode, "It is 3.") == Answer(done=True, reward=1.0)
    inner = episode._objects[0].inner
    episode.close()
    assert inner.sums == {}

    class NoSchema(Adder):
        get_openai_tool_schema = None

        def __init__(self, config, tool_schema):
            pass

    with pytest.raises(UserError, match=r"'NoSchema'.*no schema.*get_openai_tool_schema"):
        of_class(NoSchema)


class Teacher:
    """verifiers' MultiTurnEnv, of today: async, with a state."""

    async def setup_state(self, state, **kwargs):
        state["asked"] = state["info"]["width"]
        return state

    async def is_completed(self, state, **kwargs):
        done = state["completion"][-1]["content"] == state["answer"]
        state["reward"] = float(done)
        return done

    async def env_response(self, messages, state, **kwargs):
        assert messages[-1]["role"] == "assistant"
        return [{"role": "user", "content": f"{state['turn']} of {state['asked']}: wrong"}]


class OldTeacher:
    """Of before: not async, and the state comes back."""

    def is_completed(self, messages, state, **kwargs):
        return messages[-1]["content"] == state["answer"]

    def env_response(self, messages, state, **kwargs):
        return {"role": "user", "content": f"{state['turn']} of 5: wrong"}, {**state, "seen": True}


@pytest.mark.parametrize(("made", "reward"), [(Teacher, 1.0), (OldTeacher, None)])
def test_verifiers(made, reward):
    episode = opened_and_begun(made)
    assert content(say(episode, "1")) == "1 of 5: wrong"
    assert content(say(episode, "2")) == "2 of 5: wrong"
    assert say(episode, "3") == Answer(done=True, reward=reward)


def right(completion, answer, **kwargs):
    return float(completion[-2]["content"] == answer)


async def short(state, parser, width):
    return parser.scale * width / state["turn"]


def unpaid(completion):
    raise ZeroDivisionError("a metric is not asked")


class Parser:
    scale = 10


def rubric(*functions, weights=(), parser=None, **more):
    return SimpleNamespace(funcs=[*functions], weights=[*weights], parser=parser, **more)


def judged(rubric):
    """An episode of three turns that this rubric judges."""

    class Judged(OldTeacher):
        def __init__(self):
            self.rubric = rubric

        def is_completed(self, messages, state, **kwargs):
            return False

        def env_response(self, messages, state, **kwargs):
            if messages[-1]["content"] == state["answer"]:
                state["final_env_response"] = True
            return "go on"

    episode = opened_and_begun(Judged)
    assert [say(episode, turn).done for turn in ("1", "2")] == [False, False]
    return say(episode, "3")


@pytest.mark.parametrize(
    ("rubric", "reward"),
    [
        (rubric(right, short, unpaid, weights=[0.5, 0.25, 0], parser=Parser()), 0.5 + 0.25 * 10 * 5 / 3),
        (rubric(right), 1.0),
        (rubric(right, class_objects={"answer": "2"}), 0.0),
        (SimpleNamespace(reward_funcs=[right], reward_weights=[2.0]), 2.0),
        (SimpleNamespace(rubrics=[rubric(right), rubric(right, weights=[3])]), 4.0),
        (rubric(), None),
    ],
)
def test_a_rubric_of_verifiers_pays(rubric, reward):
    answer = judged(rubric)
    assert answer.done
    assert answer.reward == (reward if reward is None else pytest.approx(reward))


def of_a_group(completions):
    return [0.0]


def a_list(completion) -> list[float]:
    return [0.0]


def of_agents(completion) -> dict[str, float]:
    return {}


@pytest.mark.parametrize(
    ("rubric", "message"),
    [
        (rubric(right, of_a_group), "has of_a_group, which judges the episodes of a group together"),
        (rubric(a_list), "has a_list, which judges"),
        (rubric(of_agents), "has of_agents, which pays several agents"),
        (rubric(right, weights=[1, 2]), "has 1 reward functions and 2 weights"),
    ],
)
def test_rubrics_that_cannot_judge_one_episode(rubric, message):
    with pytest.raises(UserError, match=message):
        judged(rubric)


def test_a_reward_function_that_raises_is_no_reward_of_zero():
    with pytest.raises(ZeroDivisionError):
        judged(rubric(right, unpaid))


def test_a_class_that_only_resets_is_none_of_them():
    class Nothing:
        def reset(self):
            return None

    with pytest.raises(UserError, match="answers no turn"):
        of_class(Nothing)


class Sums:
    """reasoning-gym's protocol."""

    def __init__(self, size=10):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return {"question": f"{index}+1=", "answer": str(index + 1)}

    def score_answer(self, answer, entry):
        return 1.0 if answer == entry["answer"] else 0.01


def test_reasoning_gym():
    episode = opened(Sums, seed=13)
    assert list(episode.begin()) == [{"role": "user", "content": "3+1="}]
    assert say(episode, "<think>3 and 1</think> <answer>4</answer>") == Answer(done=True, reward=1.0)
    assert say(opened_and_begun(Sums), "no idea").reward == 0.01

    class Evaluating(Sums):
        def score_answer(self, answer, entry):
            return eval(answer) == entry["answer"]

    with pytest.raises(UserError, match=r"'Evaluating'.*evaluates what is answered as code"):
        of_class(Evaluating)


def test_a_function_that_makes_one(tmp_path):
    (tmp_path / "games.py").write_text(
        "from grpo_kit.environments import environment\n"
        "from tests.environments.test_adapters import Counting\n\n"
        "@environment(name='counting_made', turns=3)\n"
        "def counting(goal: int = 2):\n    return Counting(goal)\n"
    )
    found = get_environment(f"{tmp_path}/games.py:counting", options={"goal": 1})
    assert (found.name, found.turns) == ("counting_made", 3)
    episode = found.open(TASK, 7, {})
    assert "At 0" in episode.begin()[0]["content"]
    assert say(episode, "1").done
    del REGISTRY["counting_made"]
    with pytest.raises(UserError, match="give 'goal' a default"):
        of_class(lambda goal: Counting(goal))
