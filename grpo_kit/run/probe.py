"""`train --dry-run --probe`: one screen that says whether a recipe would learn, and what the nearest change is if not."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from grpo_kit.config import Config, VerifierConfig
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.tables import Column, show_table
from grpo_kit.observe.terminal import clip, line

if TYPE_CHECKING:
    from grpo_kit.train.preflight import Plan
    from grpo_kit.train.prospect import LongestBatch, Probed

FEW = 0.2  # of the groups: below it most of a step teaches nothing
MANY_CUT = 0.25
UNMARKED = 0.03
INVALID = 0.3
EASY = 0.9
ENOUGH_ENDED = 8  # responses that ended, to go by how many of them are right
LONG_RUN = 24.0  # hours
MOST_CHANGES = 3


def check_probe(config: Config) -> None:
    """Raises UserError where there is nothing to sample."""
    objective = resolve_objective(config.algorithm, config.objective, config.sampled_by)
    if objective.recorded:
        raise UserError(f"--probe samples the start policy, and {config.algorithm} learns from recorded data alone")


def show_probe(console: Console, config: Config, plan: Plan, prompts: int) -> None:
    """Sample, and print what was found."""
    from grpo_kit.observe.console import RunConsole
    from grpo_kit.plan.memory import machine_memory
    from grpo_kit.train.probe import probe

    found = probe(config, plan.objective, plan.shape, prompts, RunConsole(console))
    line(console, _heading(config, found))
    rows = [*_answers(found), *_costs(config, found, machine_memory(plan.device))]
    show_table(console, [Column("what"), Column("how much", words=True)], rows, framed=False, heading=False)
    verdict, changes = advice(config, found)
    line(console, verdict, None if verdict.startswith("It can") else "yellow")
    for number, change in enumerate(changes[:MOST_CHANGES]):
        line(console, f"{'nearest change' if number == 0 else 'or'}: {change}")
    line(console, "dry run: nothing was written")


def _heading(config: Config, found: Probed) -> str:
    prompts = len(found.groups)
    why = "the time was over, and the longest are missing" if found.hurried else "there is time for so many"
    fewer = f" (of {found.asked}: {why})" if prompts < found.asked else ""
    named = "the model with random weights" if config.model.path is None else Path(config.model.path).name
    start = f"{named}, after its warm start" if found.warmed else named
    return f"{start}: {prompts} prompts{fewer} x {found.samples} in {found.seconds:.0f} s"


def _answers(found: Probed) -> Iterator[tuple[str, str]]:
    right, cut, mean = found.right(), found.truncated, sum(found.lengths) / len(found.lengths)
    least, most = f"{right.low:.1%}", f"{right.high:.1%}"
    yield "right", f"{right.value:.1%} (95 % [{least}, {most}]); {found.solved:.0%} of the prompts at least once"
    sets = found.by_data_set()
    if len(sets) > 1:
        for name, groups in sets.items():
            rate = found.right(groups).value
            share = "without a verdict, all" if math.isnan(rate) else f"{rate:.1%}"
            yield f"  {clip(name, 24)}", f"{share} of {len(groups)} prompts"
    if found.judged < 1.0:
        yield "without a verdict", f"{1.0 - found.judged:.1%} of the responses: {_failure(found)}"
    yield "groups that teach", _teaching(found)
    yield f"cut at {found.limit}", f"{cut:.1%}; responses have {mean:.0f} tokens on average"
    if not math.isnan(found.without_answer):
        why = "; ".join(f"{clip(reason, 50)} {share:.1%}" for reason, share in found.reasons())
        yield "no answer", f"{found.without_answer:.1%}{f' ({why})' if why else ''}"
    if not math.isnan(found.unmarked):
        yield "right, unmarked", f"{found.unmarked:.1%} end with the right answer and mark none"
    played = found.episodes
    if played is not None:
        ends = ", ".join(f"{name} {share:.0%}" for name, share in played.endings.items())
        calls = f"{played.calls:.1f} calls of which {played.invalid:.0%} invalid"
        yield "episodes", f"{played.turns:.1f} turns, {calls}; ended by {ends}"


def _teaching(found: Probed) -> str:
    here = f"{found.teaching / len(found.groups):.0%}"
    if not found.compares:
        return here
    likely = f"about {found.teaching_share(found.group_size):.0%} of groups of {found.group_size}"
    if found.samples == 1:
        return f"{likely} (one sample of each prompt was taken)"
    return f"{here} of groups of {found.samples}{f'; {likely}' if found.samples < found.group_size else ''}"


def _failure(found: Probed) -> str:
    reason = next((f"{v.status}, {v.reason}" for v in found.verdicts if not v.counts), "")
    return clip(reason, 60)


def _costs(config: Config, found: Probed, memory: int) -> Iterator[tuple[str, str]]:
    from grpo_kit.plan.show_cpu import duration

    total, parts = found.step_seconds * config.train.steps, ""
    if found.forecast is not None:
        cost, total = found.forecast, found.forecast.total
        trained = duration(cost.logprobs + cost.update + cost.optimizer)
        parts = f" ({duration(cost.sampling)} of sampling, {trained} of training)"
    engine = "" if config.rollout.engine == "torch" else ", sampling as with rollout.engine torch"
    yield "a step", f"{duration(found.step_seconds)}{parts}; {config.train.steps} steps {duration(total)}{engine}"
    yield "longest micro-batch", _memory(found.batch, memory)


def _memory(batch: LongestBatch, memory: int) -> str:
    size = f"{batch.sequences} x {batch.tokens // batch.sequences} tokens"
    if batch.why:
        return f"{size}: {batch.why}"
    whole = batch.peak + batch.beside
    besides = f"with the optimizer's moments and a reference {_gb(whole)} of {_gb(memory)}"
    return f"{size} in {batch.seconds:.1f} s: {_gb(batch.peak)}; {besides}"


def _gb(count: int) -> str:
    return f"{count / 2**30:.1f} GB"


def advice(config: Config, found: Probed) -> tuple[str, list[str]]:
    """Whether it would learn, in a sentence, and changes that help, the nearest first."""
    changes = [*_marking(config, found), *_calls(found), *_difficulty(config, found), *_lengths(config, found)]
    share = found.teaching_share(found.group_size)
    if found.judged < 0.5:
        return "Nothing would be learned: most responses have no verdict.", ["mend the verifier (above)", *changes]
    if found.right().value == 0.0 and found.teaching == 0:
        so = ", so no group holds a difference" if found.compares else ""
        return f"Nothing would be learned: no response is right{so}.", changes
    if found.right().value > EASY and share < FEW:
        return "Little would be learned: nearly everything is right already.", ["harder prompts (data)", *changes]
    if share < FEW:
        what = "hold a difference" if found.compares else "teach something"
        return f"Little would be learned: about {share:.0%} of the groups {what}.", changes
    return f"It can learn: about {share:.0%} of the groups teach something.", changes


def _marking(config: Config, found: Probed) -> Iterator[str]:
    """Where right answers are not marked as the answer."""
    if math.isnan(found.unmarked) or found.unmarked < UNMARKED or found.unmarked < 0.25 * found.right().value:
        return
    raised = found.right().value + found.unmarked
    judging = _verifiers_of(config, found.unmarked_sets)
    keys = [
        f"{where}.{n}.options.last_expression=true"
        for where, verifiers in judging.items()
        for n, verifier in enumerate(verifiers)
        if verifier.name == "math"
    ]
    if keys:
        yield (
            f"{' '.join(keys)}: {found.right().value:.1%} -> {raised:.1%} right (it also pays for an answer that was never given)"
        )
    without = [where for where, verifiers in judging.items() if not any(v.name == "format" for v in verifiers)]
    if without:
        where = "" if without == ["verifiers"] else f" in {' and '.join(without)}"
        yield (
            f"a second verifier{where} {{name: format, weight: 0.2, options: {{shape: boxed}}}}: the mark is learned first, and "
            "then what is in it"
        )


def _verifiers_of(config: Config, names: Collection[str]) -> dict[str, list[VerifierConfig]]:
    """Those that score the responses of these data sets, by the key that they stand under."""
    if not config.mixture:
        return {"verifiers": config.verifiers}
    found: dict[str, list[VerifierConfig]] = {}
    for number, entry in enumerate(config.mixture):
        if entry.called in names:
            own = entry.verifiers
            found["verifiers" if own is None else f"data.{number}.verifiers"] = config.verifiers if own is None else own
    return found


def _lengths(config: Config, found: Probed) -> Iterator[str]:
    most = config.rollout.max_tokens
    room = found.context - config.longest_prompt - config.inserted
    if found.truncated >= MANY_CUT:
        ended = found.finished
        finished = found.right_of_finished if ended >= ENOUGH_ENDED else math.nan
        few = f"only {ended} end, too few to go by" if ended else "none of them ends"
        if room > most and (math.isnan(finished) or finished > found.right().value):
            raised = min(2 * most, room)
            told = few if math.isnan(finished) else f"of those that end {finished:.1%} are right"
            yield f"rollout.max_tokens={raised}: {found.truncated:.0%} are cut; {told}"
        elif math.isnan(finished):
            yield f"shorter answers: ask for them in prompt_template (data); {few}"
        else:
            yield "shorter answers: ask for them in prompt_template (data); of those that end no more are right"
    longest = max(found.lengths)
    if found.truncated == 0.0 and longest < most / 3:
        yield f"rollout.max_tokens={2 * longest}: the longest response has {longest} tokens (memory, not learning)"


def _calls(found: Probed) -> Iterator[str]:
    played = found.episodes
    if played is not None and played.calls and played.invalid >= INVALID:
        yield (
            f"a warm start that shows how tools are called, or another environment.format: {played.invalid:.0%} of the calls are "
            "not understood"
        )


def _difficulty(config: Config, found: Probed) -> Iterator[str]:
    rate, size = found.right().value, found.group_size
    share = found.teaching_share(size)
    if found.compares and 0.0 < rate < EASY and share < 0.5:
        yield f"rollout.group_size={2 * size}: about {share:.0%} -> {found.teaching_share(2 * size):.0%} of the groups teach"
    if rate < 0.02 and share < FEW:
        yield (
            f"a cold start: {'more steps of warm_start' if config.warm_start else 'supervised steps on worked solutions first'} "
            "(imitation/sft), a teacher (on_policy_distillation), a larger model, or easier prompts"
        )
