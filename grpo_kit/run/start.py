"""One run in this process: its checks, its training, and what can be done with the result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from grpo_kit.config import Config, JudgeConfig, VerifierConfig
from grpo_kit.config.read import load_recipe
from grpo_kit.environments.lookup import get_part
from grpo_kit.errors import UserError
from grpo_kit.observe.run_directory import RunDirectory, check_free, default_run_path
from grpo_kit.observe.sinks import check_sinks
from grpo_kit.observe.tables import Column, show_table
from grpo_kit.observe.terminal import clip, command, line, warn
from grpo_kit.run.next_commands import after_training, to_resume
from grpo_kit.run.probe import check_probe, show_probe
from grpo_kit.run.request import Auto, Checked, Latest, Position, Told, TrainRequest
from grpo_kit.run.resume import Finished, create_fork, find_fork, is_there, open_resumed
from grpo_kit.runtime import ranks
from grpo_kit.runtime.interrupt import Interrupted, StopStep, stop_on_signal
from grpo_kit.runtime.modules import import_failed
from grpo_kit.runtime.threads import choose_threads
from grpo_kit.verifiers import Verifier, get_verifier

if TYPE_CHECKING:
    from grpo_kit.train.preflight import Plan


def train_here(request: TrainRequest, told: Told) -> Path | None:
    """Check and train one run in this process. Returns its folder; None if there was nothing to train."""
    begun = time.perf_counter()
    checked = check(request, told.console)
    if checked is None:
        return None
    train_checked(checked, told, begun)
    return checked.run.path


def check(request: TrainRequest, console: Console) -> Checked | None:
    """What can be known to be wrong is said here; then the folder is made. None if there is nothing to train."""
    if request.resume is None:
        return _check_new(request, console)
    if not isinstance(request.resume, Auto):
        return _check_resumed(request, request.resume, console)
    if not is_there(request.run_dir):
        return _check_new(request, console)
    try:
        return _check_resumed(request, Latest(), console)
    except Finished:
        line(console, f"{request.run_dir} is finished: nothing to do")
        return None


def _check_resumed(request: TrainRequest, position: Position, console: Console) -> Checked | None:
    checked = open_resumed(request.recipe, request.overrides, request.run_dir, position)
    _preflight(checked.config, None)
    if checked.changed:
        line(console, "changed: " + ", ".join(checked.changed))
    if request.dry_run:
        place = checked.checkpoint or "the beginning"
        line(console, f"dry run: would go on from {place}; nothing was written")
        return None
    return checked


def _check_new(request: TrainRequest, console: Console) -> Checked | None:
    config = load_recipe(request.recipe, request.overrides)
    path = request.run_dir or default_run_path(request.recipe)
    check_free(path)
    forked = find_fork(request.fork, config) if request.fork is not None else None
    if request.probe is not None:
        check_probe(config)
    plan = _preflight(config, path)
    if plan.gold_rejected:
        warn(
            console,
            f"{len(plan.gold_rejected)} of {plan.gold_checked} gold answers are rejected by their "
            "verifier; --dry-run names them",
        )
    for note in plan.notes:
        warn(console, note)
    if request.probe is not None:
        show_probe(console, config, plan, request.probe)
        return None
    if request.dry_run:
        show_plan(console, config, plan)
        return None
    if config.threads is None:
        config = config.model_copy(update={"threads": choose_threads()})
    checkpoint = None
    if forked is not None:
        run, checkpoint = create_fork(forked, path, config)
    elif request.run_dir is None:
        run = RunDirectory.create_anew(request.recipe, config)
    else:
        run = RunDirectory.create(path, config)
    line(
        console,
        f"{config.algorithm} with {plan.parameters:,} parameters on {plan.device}: {config.train.steps} steps of "
        f"{config.rollout.prompts_per_step} prompts x {config.rollout.group_size} samples -> {run.path}",
    )
    if forked is not None:
        changes = ", ".join(map(str, forked.changes)) or "nothing"
        line(console, f"forked after step {forked.step} of {forked.origin.path}; changed: {changes}")
    return Checked(config, run, checkpoint)


def _preflight(config: Config, path: Path | None) -> Plan:
    """Everything else that can be wrong; what can be found without torch comes first."""
    check_verifiers(config)
    check_environment(config)
    check_sinks(config)
    from transformers.utils import logging as transformers_logging

    from grpo_kit.train.preflight import preflight

    transformers_logging.disable_progress_bar()
    return preflight(config, path)


def check_verifiers(config: Config) -> None:
    """Raises UserError if a verifier cannot be found or lacks an option, or if there is nothing to run it on."""
    if config.scoring.executor == "ray":
        from grpo_kit.scoring.cluster import require_ray

        require_ray()
    judge = config.evaluation.verifier if config.evaluation else None
    named: list[VerifierConfig | JudgeConfig] = [*config.all_verifiers, *([judge] if judge else [])]
    for wanted in named:
        where = "evaluation.verifier" if wanted is judge else "verifiers"
        try:
            found = get_verifier(wanted.name).with_options(wanted.options)
            if wanted is judge:
                check_judge(found)
        except UserError as error:
            raise (UserError(f"{where}: {error}") if wanted is judge else error) from error
        except (Exception, SystemExit) as error:  # whatever importing a file of the user's may raise
            raise UserError(f"{where}: {wanted.name} {import_failed(error)}") from error


def check_environment(config: Config) -> None:
    """Raises UserError if the environment or a tool cannot be imported, or is not there."""
    settings = config.environment
    if settings is None:
        return
    if settings.executor == "ray":
        from grpo_kit.scoring.cluster import require_ray

        require_ray()
    for reference in (settings.name,) if settings.name is not None else settings.tools:
        try:
            get_part(reference)
        except UserError:
            raise
        except (Exception, SystemExit) as error:  # whatever importing a file of the user's may raise
            raise UserError(f"environment: {reference} {import_failed(error)}") from error


def check_judge(found: Verifier) -> None:
    """Raises UserError where a verifier cannot say of one response whether it is right."""
    if found.group:
        raise UserError(
            f"{found.name} scores the responses to a prompt against each other, so it cannot say whether one of them is "
            "right; name a verifier that looks at one response"
        )


def train_checked(checked: Checked, told: Told, begun: float) -> None:
    """Train, and say what can be done with the result. begun: by `time.perf_counter`, when this was asked for."""
    from grpo_kit.observe.console import RunConsole
    from grpo_kit.observe.profile import Profile
    from grpo_kit.train.loop import OnlineTrainer

    config, run, console = checked.config, checked.run, told.console
    with stop_on_signal(config.train.stop_seconds) as stop:
        trainer, profile = None, None
        try:
            with stop.abandonable():
                trainer = OnlineTrainer(config, run, RunConsole(console), stop, told.listener)
            if config.train.profile_steps and ranks.first():
                profile = Profile(trainer.clock, config.train.profile_steps, run.path / "profile", trainer.console.say)
            trainer.train(checked.checkpoint, checked.changed)
        except StopStep:
            raise Interrupted(0, None) from None
        except UserError:
            if checked.changed is None and ranks.first():  # the mended command may have the name again
                run.discard()
            raise
        except Interrupted as stopped:
            line(console, f"stopped after step {stopped.step}. Go on:")
            command(console, to_resume(run.path))
            stopped.run = run.path
            raise
        finally:
            if profile is not None:
                profile.close()
            if trainer is not None:
                trainer.close()
            for sink in run.sinks:
                sink.close()
    failed = [sign.name for sign in trainer.watch.failures()]
    accuracy = trainer.evaluator.outcomes[-1][1].accuracy if trainer.evaluator.outcomes else None
    _say_what_next(config, run, console, begun, failed, accuracy)


def _say_what_next(
    config: Config, run: RunDirectory, console: Console, begun: float, failed: Sequence[str], accuracy: float | None
) -> None:
    """failed: signs of the watch that held at the end. What was learned then is nothing to build on."""
    how = f", but the watch saw {', '.join(failed)} (above)" if failed else ""
    line(console, f"done in {time.perf_counter() - begun:.0f} s{how}. Next:")
    for says, words in after_training(config, run.path, bool(failed), accuracy):
        command(console, words, says)
    line(console, f"  # curves and completions, in a browser\n  {run.path / 'report.html'}")


def show_plan(console: Console, config: Config, plan: Plan) -> None:
    """What `--dry-run` prints."""
    from grpo_kit.plan.lengths import expected_lengths
    from grpo_kit.plan.memory import machine_memory
    from grpo_kit.plan.show_cpu import show_cpu_time

    memory = machine_memory(plan.device)
    rollout, row = config.rollout, plan.objective
    work = (
        f"{config.train.steps} steps, {plan.optimizer_steps} updates, {plan.completions:,} completions "
        f"({rollout.prompts_per_step} prompts x {rollout.group_size}), at most {plan.most_tokens:,} tokens"
    )
    rows = [
        (
            "algorithm",
            f"{config.algorithm} ({row.paper}): {row.baseline}, {row.scale}, {row.ratio_level} ratio, "
            f"{row.surrogate} {row.clip_low:g}/{row.clip_high:g}, {row.aggregation}, beta {row.beta:g}",
        ),
        ("model", f"{plan.parameters:,} parameters on {plan.device}"),
        ("work", work),
    ]
    if plan.setting is not None:
        found, settings = plan.setting.environment, plan.setting.settings
        tools = ", ".join(tool["function"]["name"] for tool in found.tools)
        played = f"tools: {tools}" if tools else found.name
        rows.append(
            (
                "environment",
                f"{played}; at most {settings.turns or found.turns} turns of {settings.timeout or found.timeout:g} s",
            )
        )
    phases = (("", plan.memory.kept), ("sampling: ", plan.memory.generate), ("update: ", plan.memory.update))
    rows += [(f"memory: {phase}{part}", _size(size)) for phase, parts in phases for part, size in parts.items()]
    rows += [
        ("memory: at its peak", f"{_size(plan.memory.peak)} of {_size(memory)}"),
        ("disk", _size(plan.disk)),
        ("gold answers", f"{plan.gold_checked} checked, {len(plan.gold_rejected)} rejected"),
    ]
    if plan.skipped_long:
        looked_at = len(plan.prompts) + plan.skipped_long
        rows.append(("prompts too long", f"{plan.skipped_long} of the first {looked_at} or so"))
    show_table(console, [Column("what"), Column("how much", words=True)], rows, framed=False, heading=False)
    if plan.device == "cpu":
        expected = expected_lengths(config.rollout.max_tokens, plan.prompt_tokens, plan.response_tokens, None)
        show_cpu_time(console, config, plan.objective, plan.shape, expected)
    for rejected in plan.gold_rejected:
        line(console, f"gold rejected: {rejected}")
    for number, text in enumerate(plan.prompts, start=1):
        line(console, f"prompt {number}: {text}")
    for task_id, response, score in plan.gold:
        line(console, f"gold of {task_id}: {clip(response, 160)} -> {score.value:g} {score.reason}")
    if plan.memory.peak > memory:
        warn(console, "this is more memory than the machine has; lower train.token_budget or rollout.max_rows")
    line(console, "dry run: nothing was written")


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GB" if count >= 2**30 else f"{count / 2**20:.1f} MB"
