"""An evaluation task as one policy is asked it: rendered prompts, and what answers turn after turn."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grpo_kit.data.chat import NO_ARGUMENTS, render
from grpo_kit.environments.episodes import Episodes
from grpo_kit.environments.opening import Setting, check_calls_end, find_setting
from grpo_kit.errors import UserError
from grpo_kit.types import Prompt, Task

from .tasks import OpenTask


@dataclass(frozen=True)
class Asked:
    """Attributes:
    problems: in the order of the task's, with what the policy is told of its tools and what episodes begin with.
    episodes: None where a response is one turn.
    """

    problems: list[tuple[Task, Prompt]]
    setting: Setting | None = None
    episodes: Episodes | None = None

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return max(len(prompt.token_ids) for _, prompt in self.problems)

    def protocol(self) -> dict[str, Any]:
        return {} if self.setting is None else {"environment": setting_protocol(self.setting)}


def ask(task: OpenTask, tokenizer: Any, seed: int, folder: Path, opened: ExitStack) -> Asked:
    """Render a task's prompts, and start the processes of its environment where it has one.

    Args:
        seed: of the sampling; episodes follow from it.
        folder: for the first traceback of an environment.
        opened: closes the processes.

    Raises:
        UserError: as `task_setting` does.
        EnvironmentFailed: the environment cannot be loaded in a process of its own.
    """
    setting = task_setting(task, tokenizer)
    problems = told(
        task.problems, tokenizer, task, setting=None
    )  # an environment tells of its tools as it prepares them
    if setting is None:
        return Asked(problems)
    episodes = opened.enter_context(setting.open(seed, traceback_dir=folder))
    return Asked(episodes.prepare(problems), setting, episodes)


def told(
    problems: Sequence[Task], tokenizer: Any, task: OpenTask, setting: Setting | None
) -> list[tuple[Task, Prompt]]:
    """Problems with their prompts, those of an environment as far as they are known before it says anything."""
    arguments = task.spec.chat.arguments if setting is None else setting.arguments
    plain = (_plain(problem) if setting is None else setting.introduced(_plain(problem)) for problem in problems)
    return [(problem, render(problem, tokenizer, arguments)) for problem in plain]


def task_setting(task: OpenTask, tokenizer: Any) -> Setting | None:
    """The environment of a task, for one tokenizer; None where it has none.

    Raises:
        UserError: as `find_setting` and `check_calls_end` do.
    """
    if task.spec.environment is None:
        return None
    try:
        opening = task.problems[0].messages
        setting = find_setting(task.spec.environment, tokenizer, opening, task.spec.chat.arguments or NO_ARGUMENTS)
    except UserError as error:
        raise UserError(f"task {task.name}: environment: {error}") from error
    check_calls_end(task.spec.stop, setting, f"task {task.name}: stop (rollout.stop of a recipe)")
    return setting


def setting_protocol(setting: Setting) -> dict[str, Any]:
    """Everything of an environment that decides how an episode goes."""
    settings, found = setting.settings, setting.environment
    return {
        "name": found.name,
        "version": found.version,
        "options": settings.options,
        "turns": settings.turns or found.turns,
        "turn_tokens": settings.turn_tokens,
        "max_inserted": settings.max_inserted,
        "max_invalid": settings.max_invalid,
        "timeout": settings.timeout or found.timeout,
        "episode_seconds": settings.episode_seconds,
        **({"format": setting.spec.format} if found.tools else {}),
        **({"history": settings.history} if settings.history != "append" else {}),
    }


def _plain(task: Task) -> Task:
    """Which verifier judges is the task file's decision, not the data's."""
    return replace(task, meta={k: v for k, v in task.meta.items() if k != "verifier"})
