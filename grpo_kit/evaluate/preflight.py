"""What can be known to be wrong with an evaluation before any weights are loaded, and what it would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grpo_kit.data.chat import check_stop_strings, left_out, render_text
from grpo_kit.errors import UserError
from grpo_kit.generate.engines import check_engine
from grpo_kit.observe.terminal import line
from grpo_kit.policy.models import model_skeleton, pick_device
from grpo_kit.policy.pretrained import check_tokenizer, check_weights

from .asked import task_setting, told
from .checkpoints import CheckpointEvaluation, Settings
from .task_judge import TaskJudge
from .tasks import OpenTask

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_PROMPTS = 2
LOOKED_AT = 8


@dataclass(frozen=True)
class TaskPlan:
    """One task on one checkpoint. ``prompts``: the first ones as the model reads them; ``longest`` in tokens; ``dropped``:
    what the chat template leaves out of them; ``played``: by what and how long an episode is, empty for one turn."""

    task: OpenTask
    max_tokens: int
    longest: int
    prompts: list[str]
    dropped: list[str]
    played: str = ""


@dataclass(frozen=True)
class EvaluationPlan:
    label: str
    path: str
    tasks: list[TaskPlan]


def check_verifiers(tasks: Sequence[OpenTask]) -> None:
    """Raises UserError where what judges a task cannot be found or lacks an option."""
    for task in tasks:
        try:
            TaskJudge.of(task.spec).check()
        except UserError as error:
            raise UserError(f"task {task.name}: {error}") from error


def plan_evaluation(evaluation: CheckpointEvaluation) -> EvaluationPlan:
    """Render the prompts with the checkpoint's own tokenizer; the model is built without its weights.

    Raises:
        UserError: the model cannot be loaded, or a prompt and its completion do not fit its context.
    """
    settings, path = evaluation.settings, evaluation.path
    check_engine(settings.rollout, pick_device(settings.device).type)
    skeleton, tokenizer = model_skeleton(evaluation.model)
    check_tokenizer(tokenizer, skeleton, path)
    check_weights(path, skeleton)
    context = int(getattr(skeleton.config, "max_position_embeddings", 0)) or 2**31
    plans = [_plan_task(evaluation, task, tokenizer, context) for task in evaluation.tasks]
    return EvaluationPlan(evaluation.label, path, plans)


def _plan_task(evaluation: CheckpointEvaluation, task: OpenTask, tokenizer: Any, context: int) -> TaskPlan:
    check_stop_strings(task.spec.stop, tokenizer, f"task {task.name}: stop (rollout.stop of a recipe)")
    setting = task_setting(task, tokenizer)
    arguments = task.spec.chat.arguments if setting is None else setting.arguments
    asked = told(task.problems, tokenizer, task, setting)
    longest = max(len(prompt.token_ids) for _, prompt in asked)
    evaluation.check_room(task, longest, context)
    dropped = [part for problem, _ in asked[:LOOKED_AT] for part in left_out(problem, tokenizer, arguments)]
    prompts = [render_text(problem, tokenizer, arguments) for problem, _ in asked[:SHOWN_PROMPTS]]
    played = ""
    if setting is not None:
        turns = setting.settings.turns or setting.environment.turns
        played = f", in at most {turns} turns with {setting.environment.name}"
    return TaskPlan(task, evaluation.max_tokens(task), longest, prompts, list(dict.fromkeys(dropped)), played)


def show_plan(console: Console, plans: Sequence[EvaluationPlan], settings: Settings, folder: str) -> None:
    """What `eval` would do, with the prompts as the model would read them."""

    def say(text: str) -> None:
        line(console, text)

    cut = "".join(
        f", {name} {value:g}"
        for name, value, off in (("top_p", settings.top_p, 1.0), ("top_k", settings.top_k, 0))
        if value != off
    )
    for plan in plans:
        say(f"{plan.label}: {plan.path}")
        for part in plan.tasks:
            task, problems = part.task, len(part.task.problems)
            of = f" of {task.available}" if task.available and task.available > problems else ""
            asked = [f"{settings.n} sampled (temperature {settings.temperature:g}{cut})"] if settings.n else []
            asked += ["1 greedy"] if settings.greedy else []
            completions = problems * (settings.n + settings.greedy)
            say(
                f"  {task.name}: {problems}{of} problems x {' and '.join(asked)} = {completions} completions of at most "
                f"{part.max_tokens} tokens{part.played}, judged by {TaskJudge.of(task.spec).name}; prompts of at "
                f"most {part.longest} tokens"
            )
            for problem, prompt in zip(task.problems, part.prompts, strict=False):
                say(f"  --- prompt of {problem.id}, gold {problem.answer!r:.200}")
                say(prompt)
    say(f"dry run: nothing was sampled or written; results would go to {folder}")
