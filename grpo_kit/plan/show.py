"""`grpo-kit plan`: the tables and the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from grpo_kit.config import Config
from grpo_kit.config.read import load_recipe
from grpo_kit.data.chat import use_arguments
from grpo_kit.data.datasets import training_sets
from grpo_kit.data.samplers import open_sampler
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.objective.rows import Algorithm
from grpo_kit.observe.tables import Column, show_table
from grpo_kit.observe.terminal import line, open_console
from grpo_kit.policy.models import model_skeleton, pick_device

from .advice import USABLE, Change, changes_that_fit, engine_room, fits
from .cost import READ_SHARE, Costs, Work, parse_gpus
from .lengths import Lengths, expected_lengths, likely_response
from .memory import GIB, Memory, Setting, machine_memory, memory_of, setting_of
from .outlook import Outlook
from .shape import known_shape
from .shapes import shape_of
from .show_cpu import show_cpu_time
from .simulate import STEPS, Timing, best_asynchronous, synchronous
from .work import work_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCALES = (8, 16, 32, 64, 128, 256, 512)
AHEAD = (1, 2, 4)
# What else makes a part smaller, where no change of `advice` is enough.
LEVERS = {
    "key-value cache": "lower rollout.max_tokens, or take a smaller model",
    "activations": "lower rollout.max_tokens or data.max_prompt_tokens, or take a smaller model",
}
ONE_GPU = "1x80GB"
SLOTS = 256  # vLLM's own limit of sequences decoded side by side, by default


def plan(
    recipe: str | Mapping[str, Any],
    overrides: Sequence[str],
    gpus: str | None,
    *,
    prompt_tokens: int | None,
    completion_tokens: int | None,
    lengths: Path | None,
    mfu: float,
    picture: Path | None,
    console: Console | None = None,
) -> Outlook:
    """Print what a device has to hold, how long a step takes, and what would fit if this does not; and return it.

    Args:
        gpus: None for this machine's CPU where the recipe runs on it, else one GPU of 80 GB.
    """
    config = load_recipe(recipe, overrides)
    objective = resolve_objective(config.algorithm, config.objective, config.sampled_by)
    console = console or open_console()
    if gpus is None and pick_device(config.device).type == "cpu":
        if picture is not None:
            raise UserError("--picture is of GPUs: say which with --gpus")
        return _plan_cpu(console, config, objective, prompt_tokens, completion_tokens, lengths)
    count, device = parse_gpus(gpus or ONE_GPU)
    shape = shape_of(config.model)
    setting = setting_of(config, objective, shape, devices=count, device="cuda", device_bytes=device.memory)
    line(
        console,
        f"{config.algorithm} of {shape.parameters / 1e9:.2f}B parameters on {count} x {device.name} "
        f"({device.memory / GIB:.0f} GB, {device.flops / 1e12:.0f} TFLOP/s, {device.bandwidth / 1e12:.2f} TB/s)",
    )
    memory, changes = _show_memory(console, setting)
    most = config.rollout.max_tokens
    prompt = float(prompt_tokens or config.longest_prompt / 2)
    expected = expected_lengths(most, prompt, completion_tokens or most / 4, lengths)
    costs, work = Costs(shape, device, mfu), work_of(config, objective, expected.prompt, expected.mean)
    step = None
    if not objective.recorded:
        if config.rollout.engine == "torch":
            line(console, "times are those of vLLM engines (rollout.engine: vllm or vllm_server)")
        step = _show_step(console, config, costs, work, expected, count)
        if picture is not None:
            _draw(costs, work, expected, picture)
            line(console, f"synchronous against asynchronous at 8 to 512 devices: {picture}")
    return Outlook(device.name, count, memory, setting.device_bytes, fits(setting), changes, step_seconds=step)


def _plan_cpu(
    console: Console,
    config: Config,
    objective: Algorithm,
    prompt_tokens: int | None,
    completion_tokens: int | None,
    recorded: Path | None,
) -> Outlook:
    """Memory and time on this machine, by what pieces of the model take here."""
    shape, memory = shape_of(config.model), machine_memory("cpu")
    setting = setting_of(config, objective, shape, devices=1, device="cpu", device_bytes=memory)
    line(
        console,
        f"{config.algorithm} of {shape.parameters / 1e9:.2f}B parameters on this machine's CPU ({memory / GIB:.0f} GB)",
    )
    needed, changes = _show_memory(console, setting)
    prompt, response = _likely(config)
    expected = expected_lengths(
        config.rollout.max_tokens, float(prompt_tokens or prompt), float(completion_tokens or response), recorded
    )
    found = show_cpu_time(console, config, objective, shape, expected)
    seconds = {"step_seconds": found.step, "run_seconds": found.total}
    return Outlook("cpu", 1, needed, memory, fits(setting), changes, **seconds)


def _likely(config: Config) -> tuple[float, float]:
    """Mean tokens of prompts and responses; a model from the hub that need not be here leaves half of the prompts' limit."""
    if config.model.path is not None and known_shape(config.model.path) is not None:
        return config.longest_prompt / 2, float(config.rollout.max_tokens)
    tokenizer = model_skeleton(config.model)[1]
    use_arguments(tokenizer, config.chat.arguments)
    sampler = open_sampler(config, training_sets(config), tokenizer)
    first = sampler.next(config.rollout.prompts_per_step)
    return fmean(len(prompt.token_ids) for _, prompt in first), likely_response(config, tokenizer)


def _show_memory(console: Console, setting: Setting) -> tuple[Memory, list[Change]]:
    memory = memory_of(setting)
    rows = []
    for title, parts in (
        ("all the time", memory.kept),
        ("sampling", memory.generate),
        ("updating", memory.update),
    ):
        for name, size in parts.items():
            rows.append((title, name, f"{size / GIB:.2f} GB"))
            title = ""
    rows.append(("peak of a device", "", f"{memory.peak / GIB:.2f} of {setting.device_bytes / GIB:.0f} GB"))
    show_table(console, [Column("when"), Column("what"), Column("memory")], rows, framed=False, heading=False)
    if fits(setting):
        return memory, []
    line(console, _why_not(setting, memory))
    changes = changes_that_fit(setting)
    for number, change in enumerate(changes):
        lead = "nearest change that fits" if number == 0 else "or"
        line(console, f"  {lead}: {change.text} ({change.peak / GIB:.2f} GB)")
    if not changes:
        parts = memory.kept | max(memory.generate, memory.update, key=lambda phase: sum(phase.values()))
        largest = max(parts, key=lambda name: parts[name])
        way = LEVERS.get(largest.partition(",")[0], "take a smaller model")
        line(
            console,
            "  no three changes of token budget, rows, checkpointing, engine memory, LoRA and devices are enough. The largest "
            f"part is {largest} ({parts[largest] / GIB:.2f} GB): {way}",
        )
    return memory, changes


def _why_not(setting: Setting, memory: Memory) -> str:
    if engine_room(setting) <= 0:
        return (
            f"does not fit: rollout.vllm.memory_fraction {setting.engine_share:g} leaves vLLM no room for one sequence of "
            f"{setting.length} tokens beside its copy of the weights"
        )
    return f"does not fit: {memory.peak / GIB:.2f} GB of {USABLE:.0%} of {setting.device_bytes / GIB:.0f} GB"


def _show_step(console: Console, config: Config, costs: Costs, work: Work, expected: Lengths, devices: int) -> float:
    """Returns the seconds of a synchronous step."""
    context = expected.prompt + expected.mean
    slots = max(1, min(SLOTS, costs.slots(config.rollout.vllm.memory_fraction, context)))
    drawn = expected.draw(STEPS + max(AHEAD) + 1, work.sequences)
    tokens = work.sequences * context
    rows = []
    names = ("step", "seconds", "tokens/s", "sampling + training", "engines idle", "trainers idle", "mean age")
    columns = [Column(name, right=name != "step") for name in names]

    def row(name: str, t: Timing, split: str) -> None:
        shares = f"{t.engines_idle:.0%}", f"{t.trainers_idle:.0%}"
        rows.append((name, f"{t.step:.1f}", f"{tokens / t.step:,.0f}", split, *shares, f"{t.staleness:.1f}"))

    in_turn = synchronous(costs, work, drawn, devices, slots)
    row("synchronous", in_turn, f"{devices}, in turn")
    for ahead in AHEAD:
        timing = best_asynchronous(costs, work, drawn, devices, slots, ahead)
        if timing is not None:
            row(f"async, {ahead} ahead", timing, f"{timing.engines} + {timing.trainers}")
    line(
        console,
        f"{work.sequences} responses of {expected.mean:.0f} tokens on average (at most {expected.most}) after prompts of "
        f"{expected.prompt:.0f}; assumed: {costs.mfu:.0%} of the peak rate in training, {READ_SHARE:.0%} of the bandwidth in "
        f"decoding, {slots} sequences side by side on an engine",
    )
    show_table(console, columns, rows, framed=False)
    return in_turn.step


def _draw(costs: Costs, work: Work, expected: Lengths, target: Path) -> None:
    """Time of a step over the number of devices, long and short responses beside each other."""
    from matplotlib.figure import Figure  # not pyplot, whose backend and figures are a notebook's own

    figure = Figure(figsize=(10, 4))
    panels = figure.subplots(1, 2, sharey=False)
    short = Lengths(expected.prompt, expected.mean / 8, max(1, expected.most // 8))
    for axes, lengths in zip(panels, (expected, short), strict=True):
        _curves(axes, costs, work, lengths)
    panels[0].set_ylabel("seconds a step")
    panels[1].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(target)


def _curves(axes: Axes, costs: Costs, work: Work, lengths: Lengths) -> None:
    from dataclasses import replace

    work = replace(work, completion_tokens=lengths.mean)
    context = lengths.prompt + lengths.mean
    slots = max(1, min(SLOTS, costs.slots(0.6, context)))
    drawn = lengths.draw(STEPS + max(AHEAD) + 1, work.sequences)
    axes.plot(SCALES, [synchronous(costs, work, drawn, n, slots).step for n in SCALES], "k-o", label="synchronous")
    for ahead in AHEAD:
        found = [best_asynchronous(costs, work, drawn, n, slots, ahead) for n in SCALES]
        axes.plot(
            SCALES, [t.step if t else np.nan for t in found], "-o", label=f"asynchronous, {ahead} ahead", markersize=3
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(SCALES, [str(n) for n in SCALES])
    axes.set_xlabel("devices")
    axes.set_title(f"responses of {lengths.mean:.0f} tokens, at most {lengths.most}", fontsize=10)
