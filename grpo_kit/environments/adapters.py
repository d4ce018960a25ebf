"""Classes written for other frameworks, told by their methods and run unchanged; no framework is imported.

| framework | told by |
|---|---|
| gymnasium, and text games like it | ``reset`` and ``step`` |
| verl | ``create``, ``execute`` and ``release`` (`BaseTool`) |
| reasoning-gym | ``score_answer``, and entries by number |
| verifiers | ``env_response`` and ``is_completed`` (`MultiTurnEnv`) |
| TRL | ``reset``, and public methods with types, which are tools (``environment_factory``) |

Each adapter is a class of our own shape around an object of theirs. Rewards keep their range.
"""

from __future__ import annotations

import inspect
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.types import Task
from grpo_kit.verifiers.final_answer import final_answer
from grpo_kit.verifiers.foreign import evaluation_in
from grpo_kit.verifiers.json_schema import Checker

from .base import Done, Say, ToolError
from .rubric import reward_functions
from .tools import Tool, describe, function_schema

_NUMBER = re.compile(r"-?[0-9]+")
_MARKED = re.compile(r"\x1b\[4[0-9]m([^\x1b]*)\x1b\[0m")  # where somebody stands, as a colour behind it
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
LONGEST_ACTION = 1000  # characters at a turn's end in which a numbered action is looked for


@dataclass(frozen=True)
class Foreign:
    """A class of another framework as one of ours.

    Attributes:
        owner: ours, which has ``begin`` and ``reply``.
        make: makes an object of it, around one of theirs.
        takes_options: whether options go to the foreign class by name, as its constructor says.
    """

    owner: type
    make: Callable[..., Any]
    tools: tuple[Tool, ...] = ()
    takes_options: bool = True


def adapt(kind: type, made: Callable[..., Any], label: str, origin: str) -> Foreign | None:
    """Our shape of a class of another framework; None where it has none of the known shapes.

    Args:
        made: makes an object of ``kind``: the class itself, or a function.

    Raises:
        UserError: it has one, and something in it that cannot be used.
    """

    def has(*names: str) -> bool:
        return all(callable(getattr(kind, name, None)) for name in names)

    if has("reset", "step"):
        return Foreign(Game, partial(Game, made))
    if has("create", "execute", "release"):
        return _verl(kind, made, label, origin)
    if has("env_response", "is_completed"):
        return Foreign(Conversation, partial(Conversation, made))
    if has("score_answer", "__getitem__", "__len__"):
        if where := evaluation_in(kind.score_answer):  # type: ignore[attr-defined]
            raise UserError(
                f"environment {label!r} ({origin}) evaluates what is answered as code ({where}), so that a policy could run "
                "anything on this machine; it is not used"
            )
        return Foreign(Puzzles, partial(Puzzles, made))
    if has("reset"):
        names = [name for name, _ in inspect.getmembers(kind, inspect.isfunction)]
        names = [name for name in names if not name.startswith("_") and name not in ("reset", "get_reward", "close")]
        tools = tuple(_method(getattr(kind, name), name) for name in names)
        return Foreign(ToolObject, partial(ToolObject, made), tools) if tools else None
    return None


def accepted(function: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Of what can be offered, what a function takes."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return dict(offered)
    return {p.name: offered[p.name] for p in parameters if p.name in offered and p.kind is not p.POSITIONAL_ONLY}


def columns(task: Task) -> dict[str, Any]:
    """A task as other frameworks hand over a row: its columns, its answer and its prompt."""
    return {**task.meta, "answer": task.answer, "prompt": task.prompt, "task": task}


async def settled(result: Any) -> Any:
    """What a method gives, be it async or not."""
    return await result if inspect.isawaitable(result) else result


class Wrapper:
    """What every adapter has: an object of theirs, and its ``close``."""

    def __init__(self, made: Callable[..., Any], **options: Any) -> None:
        self.inner = made(**options)

    async def close(self) -> None:
        if callable(close := getattr(self.inner, "close", None)):
            await settled(close())


class Game(Wrapper):
    """gymnasium: ``reset(seed=) -> observation, info``; ``step(action) -> observation, reward, terminated, truncated, info``.

    The action is the turn's text without blanks around it, or its last number where the game's actions are numbered. What is
    seen is the observation, or what ``render`` draws where the game was made with ``render_mode="ansi"``. Each step's reward is
    paid for its turn. Games of before gymnasium (``step`` gives four values, ``reset`` one) are taken as well.
    """

    async def begin(self, task: Task, seed: int) -> Any:
        reset = self.inner.reset
        parameters = inspect.signature(reset).parameters
        offered = {"seed": seed % 2**31, **{k: v for k, v in columns(task).items() if k in parameters}}
        said = await settled(reset(**accepted(reset, offered)))
        return self._seen(said[0] if isinstance(said, tuple) and len(said) == 2 else said) or None

    async def reply(self, response: str) -> Any:
        result = await settled(self.inner.step(self._action(response)))
        if not isinstance(result, tuple) or len(result) not in (4, 5):
            raise TypeError(
                f"{type(self.inner).__name__}.step returned {result!r:.120}; it must return observation, reward, terminated, "
                "truncated, info"
            )
        observation, reward, *ends, _ = result
        return Done(reward) if any(ends) else Say(self._seen(observation) or "(nothing)", reward or 0.0)

    def _action(self, response: str) -> Any:
        space = getattr(self.inner, "action_space", None)
        count = getattr(space, "n", None)
        if count is None:
            return response.strip()
        first = int(getattr(space, "start", 0))
        numbers = _NUMBER.findall(response[-LONGEST_ACTION:])
        if not numbers or not first <= int(numbers[-1]) < first + int(count):
            raise ToolError(f"Say a number from {first} to {first + int(count) - 1}.")
        return int(numbers[-1])

    def _seen(self, observation: Any) -> str:
        if getattr(self.inner, "render_mode", None) == "ansi":
            return _ESCAPES.sub("", _MARKED.sub(r"[\1]", str(self.inner.render())))
        if isinstance(observation, Mapping) and isinstance(observation.get("text"), str):
            return str(observation["text"])
        return "" if observation is None else str(observation)


class Puzzles(Wrapper):
    """reasoning-gym: the seed draws an entry, its question begins the episode, one answer ends it: ``score_answer`` pays."""

    def begin(self, seed: int) -> str:
        self.entry = self.inner[seed % len(self.inner)]
        return str(self.entry["question"])

    async def reply(self, response: str) -> Done:
        answer = final_answer(response).text or response
        return Done(await settled(self.inner.score_answer(answer=answer, entry=self.entry)))


class ToolObject(Wrapper):
    """TRL: ``reset(**row)`` may say something first; public methods are tools; ``get_reward`` pays at the end, if it is there."""

    async def begin(self, task: Task, seed: int) -> Any:
        return await settled(self.inner.reset(**accepted(self.inner.reset, {**columns(task), "seed": seed}))) or None

    async def reply(self) -> Done:
        reward = getattr(self.inner, "get_reward", None)
        return Done(await settled(reward()) if callable(reward) else getattr(self.inner, "reward", None))


def _method(function: Callable[..., Any], name: str) -> Tool:
    """A method of theirs as a tool that is given the wrapper. What it raises is told to the policy, as TRL does."""
    made = describe(function, f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}", bound=True)

    async def call(wrapper: Wrapper, **arguments: Any) -> Any:
        try:
            return await settled(getattr(wrapper.inner, name)(**arguments))
        except (ValueError, LookupError, ArithmeticError) as error:
            raise ToolError(f"{type(error).__name__}: {error}") from error

    return Tool(made.name, call, made.schema, made.origin, made.read, made.timeout)


class Service(Wrapper):
    """verl: ``create() -> instance``; ``execute(instance, parameters) -> response, reward, metrics``; ``release(instance)``."""

    def __init__(self, made: Callable[..., Any], schema: Any, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(made, **accepted(made, {"config": dict(config or {}), "tool_schema": schema}))
        self.instance: Any = None

    async def begin(self, task: Task) -> None:
        create = self.inner.create
        row = columns(task)
        offered = {"instance_id": str(uuid.UUID(int=0)), "create_kwargs": {"ground_truth": task.answer, **task.meta}}
        named = {k: row[k] for k in inspect.signature(create).parameters if k in row}
        made = await settled(create(**accepted(create, {"ground_truth": task.answer, **offered, **named})))
        self.instance = made[0] if isinstance(made, tuple) else made

    async def execute(self, arguments: Mapping[str, Any]) -> Any:
        result = await settled(self.inner.execute(self.instance, dict(arguments)))
        response, reward, *_ = result if isinstance(result, tuple) else (result, 0.0)
        text = getattr(response, "text", response)
        return Say("" if text is None else text, reward or 0.0)

    async def reply(self) -> Done:
        reward = getattr(self.inner, "calc_reward", None)
        return Done(await settled(reward(self.instance)) if callable(reward) else None)

    async def close(self) -> None:
        if self.instance is not None:
            await settled(self.inner.release(self.instance))
        await super().close()


def _verl(kind: type, made: Callable[..., Any], label: str, origin: str) -> Foreign:
    """The schema of a verl tool is what it says of itself: an OpenAI schema, of its own method or from its constructor."""
    schema = getattr(kind, "tool_schema", None)
    if schema is None and callable(getattr(kind, "get_openai_tool_schema", None)):
        try:
            schema = made(**accepted(made, {"config": {}, "tool_schema": None})).get_openai_tool_schema()
        except Exception as error:
            raise UserError(f"tool {label!r} ({origin}) gives no schema: {type(error).__name__}: {error}") from error
    dump = getattr(schema, "model_dump", None)
    plain = schema if dump is None else dump(exclude_none=True)
    function = plain.get("function") if isinstance(plain, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("parameters"), Mapping):
        raise UserError(
            f"tool {label!r} ({origin}) has the methods of a verl tool, and no schema: give it get_openai_tool_schema or a "
            "class attribute tool_schema"
        )
    name, parameters = str(function["name"]), dict(function["parameters"])

    def read(arguments: Mapping[str, Any]) -> dict[str, Any]:
        given = dict(arguments)
        complaint = Checker(parameters).check(given, parameters, name)
        if complaint is None and (unknown := set(given) - set(parameters.get("properties", given))):
            complaint = (
                f"{name}: there is no argument {min(unknown)!r:.60}; it takes {', '.join(parameters['properties'])}"
            )
        if complaint is not None:
            raise ToolError(complaint)
        return {"arguments": given}

    made_schema = function_schema(name, str(function.get("description", "")), parameters)
    tool = Tool(name, Service.execute, made_schema, origin, read)
    return Foreign(Service, partial(_service, made, schema), (tool,), takes_options=False)


def _service(made: Callable[..., Any], schema: Any, **_: Any) -> Service:
    return Service(made, schema)


class Conversation(Wrapper):
    """verifiers: ``env_response(messages, state)`` answers a turn, unless ``is_completed(messages, state)``.

    The reward is what its ``rubric`` pays for the whole conversation, or, without reward functions, what the object leaves in
    ``state["reward"]``, if anything.
    """

    def __init__(self, made: Callable[..., Any], **options: Any) -> None:
        super().__init__(made, **options)
        self.paying = reward_functions(getattr(self.inner, "rubric", None))

    async def begin(self, task: Task) -> None:
        self.messages: list[dict[str, Any]] = [dict(message) for message in task.messages]
        self.state: dict[str, Any] = {
            "prompt": list(self.messages),
            "answer": task.answer,
            "info": dict(task.meta),
            "id": 0,
        }
        self.state |= {
            "completion": [],
            "responses": [],
            "trajectory": [],
            "turn": 0,
            "task": task.meta.get("task", "default"),
        }
        if callable(setup := getattr(self.inner, "setup_state", None)):
            self.state = await settled(setup(**accepted(setup, {"state": self.state}))) or self.state

    async def reply(self, response: str) -> Any:
        self._add([{"role": "assistant", "content": response}])
        self.state["turn"] += 1
        self.state["responses"].append(response)
        self.state["trajectory"].append({"completion": [self.messages[-1]], "prompt": self.messages[:-1]})
        if await self._ask("is_completed"):
            return await self._end()
        said = await self._ask("env_response")
        if isinstance(said, tuple):  # their releases of before gave the state back too
            said, self.state = said
        listed = [said] if isinstance(said, (str, Mapping)) else list(said)
        messages = [{"role": "user", "content": one} if isinstance(one, str) else dict(one) for one in listed]
        self._add(messages)
        return await self._end() if self.state.get("final_env_response") else messages

    async def _end(self) -> Done:
        if not self.paying:
            return Done(self.state.get("reward"))
        episode = {name: self.state.get(name) for name in ("prompt", "completion", "answer", "info", "task")}
        offered = {**self.state["info"], **episode, "state": self.state}
        paid = 0.0
        for one in self.paying:
            paid += one.weight * await settled(one.function(**accepted(one.function, {**offered, **one.objects})))
        return Done(paid)

    async def _ask(self, name: str) -> Any:
        method = getattr(self.inner, name)
        return await settled(method(**accepted(method, {"messages": self.messages, "state": self.state})))

    def _add(self, messages: list[dict[str, Any]]) -> None:
        self.messages = [*self.messages, *messages]
        self.state["completion"] = [*self.state["completion"], *messages]
