"""From the section of a recipe to what plays it: the environment, what the policy is told of its tools, and the bridge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.data.bridge import QUESTION, Bridge
from grpo_kit.data.chat import NO_ARGUMENTS
from grpo_kit.errors import UserError
from grpo_kit.scoring import Cluster
from grpo_kit.types import Message, Task

from .base import Environment
from .episodes import Episodes
from .formats import Call, example, format_of_template, instructions, read, takes_tools, write
from .lookup import Address, EnvironmentSpec, get_environment


@dataclass(frozen=True)
class Setting:
    """An environment as a recipe means it, for one tokenizer; no process is started.

    Attributes:
        told: what stands in the prompt where the chat template has no place for tools.
    """

    settings: EnvironmentConfig
    environment: Environment
    spec: EnvironmentSpec
    bridge: Bridge
    told: str

    @property
    def arguments(self) -> dict[str, Any]:
        """For every rendering of a prompt."""
        return self.bridge.settings

    def longer(self, task: Task) -> int:
        """How many tokens what the policy is told of its tools adds to a prompt."""
        untold = {name: value for name, value in self.arguments.items() if name != "tools"}
        bare = Bridge(self.bridge.tokenizer, arguments=untold).prompt(task)
        return len(self.bridge.prompt(self.introduced(task)).token_ids) - len(bare.token_ids)

    def introduced(self, task: Task) -> Task:
        return replace(task, messages=introduced(task.messages, self.told, self._takes_system)) if self.told else task

    @cached_property
    def _takes_system(self) -> bool:
        probe = Task("probe", (Message(role="system", content="s"), Message(role="user", content="u")), None)
        try:
            self.bridge.prompt(probe)
        except UserError:
            return False
        return True

    def spelt(self, text: str) -> str:
        """A turn of a demonstration, whose calls are plain JSON, with its calls in the form that is read here."""
        format = self.spec.format
        calls = read(text, "json") if self.environment.tools and format != "json" else []
        return write([c for c in calls if isinstance(c, Call)], format) if calls else text

    def open(
        self,
        seed: int,
        variables: Sequence[str] = (),
        max_error_rate: float = 0.5,
        error_patience: int = 3,
        traceback_dir: Path | None = None,
        cluster: Cluster | None = None,
        room: int | None = None,
    ) -> Episodes:
        """Start its processes. See `Episodes`."""
        return Episodes(
            self.environment,
            Address(self.spec.located()),
            self.settings,
            self.bridge,
            seed,
            variables,
            max_error_rate,
            error_patience,
            traceback_dir,
            introduced=self.introduced,
            cluster=cluster,
            room=room,
        )


def outcome_of(settings: EnvironmentConfig | None) -> tuple[str, float] | None:
    """The name and the weight of what an environment pays; None where nothing pays but verifiers."""
    if settings is None or settings.name is None:
        return None
    return get_environment(settings.name, options=settings.options).name, settings.weight


def check_pays(settings: EnvironmentConfig) -> None:
    """Where no verifier judges. Raises UserError if the environment has nothing to say of an episode either."""
    found = None if settings.name is None else get_environment(settings.name, options=settings.options)
    if found is None or not found.pays:
        what = f"environment {found.name}" if found else "tools"
        raise UserError(
            f"{what}: nothing says what an episode is worth. Tools alone pay nothing (a class with a method reply can): "
            "name a verifier of the answer"
        )


def find_setting(
    settings: EnvironmentConfig,
    tokenizer: Any,
    opening: Sequence[Message] = (),
    arguments: Mapping[str, Any] = NO_ARGUMENTS,
) -> Setting:
    """The environment that a recipe names, with a bridge that was tried.

    Args:
        opening: messages of a prompt as the run will have them.
        arguments: of the chat template, beside those that the tokenizer gives every rendering.

    Raises:
        UserError: it is not there, its options are wrong, or the chat template cannot hold its turns.
    """
    template = str(tokenizer.chat_template or "")
    format = format_of_template(template) if settings.format == "auto" else settings.format
    spec = EnvironmentSpec(settings.name, settings.tools, settings.options, format, settings.turns, settings.timeout)
    environment = spec.find()
    place = takes_tools(template)
    bridge = Bridge(tokenizer, environment.tools if place else (), arguments)
    told = instructions(environment.tools, format) if environment.tools and not place else ""
    # Where there are both tools and a reply, turns without a call are answered as the user does.
    roles = (*(["tool"] * bool(environment.tools)), *(["user"] * (environment.pays or not environment.tools)))
    if settings.fresh:
        answered = min((settings.turns or environment.turns) - 1, 2)
        bridge.check_whole(roles, opening or (QUESTION,), answered)
    else:
        bridge.check(roles, opening or (QUESTION,))
        _check_room(settings, environment, bridge, roles)
    return Setting(settings, environment, spec, bridge, told)


def _check_room(settings: EnvironmentConfig, environment: Environment, bridge: Bridge, roles: Sequence[str]) -> None:
    """Raises UserError where not even the shortest reply may be inserted, so that every episode would end with its first turn."""
    least = min(len(bridge.answered((), bridge.read([Message(role=role, content=".")]))) for role in roles)
    if settings.max_inserted < least and (settings.turns or environment.turns) > 1:
        raise UserError(
            f"environment.max_inserted: {settings.max_inserted} tokens hold no reply: with what the chat template of "
            f"{bridge.name} writes around it the shortest has {least}. Give it "
            "room for those of all turns, or set environment.turns: 1"
        )


def check_calls_end(stop: Sequence[str], setting: Setting, where: str = "rollout.stop") -> None:
    """Raises UserError for a stop string that stands in every call: a turn's text is cut before it, so none could be read.

    Args:
        where: the key that holds them, for the message.
    """
    if not setting.environment.tools:
        return
    format = setting.spec.format
    call = write([Call(setting.environment.tools[0]["function"]["name"])], format)
    if format == "hermes":
        call = call.replace("\n", "")  # may stand on one line
    if cuts := [string for string in stop if (string.strip() or string) in call]:
        raise UserError(
            f"{where}: {cuts[0]!r} is a part of how tools are called here ({example(format)}), and a turn's text is cut "
            "before it. Leave it out: a turn ends with the chat template's own token"
        )


def introduced(messages: tuple[Message, ...], told: str, system: bool) -> tuple[Message, ...]:
    """The messages of a prompt with what the policy is told of its tools: in the system message, or before the question."""
    role = "system" if system else "user"
    if messages and messages[0]["role"] == role:
        first: Message = {
            **messages[0],
            "content": f"{messages[0]['content']}\n\n{told}" if system else f"{told}\n\n{messages[0]['content']}",
        }
        return (first, *messages[1:])
    return (Message(role=role, content=told), *messages)
