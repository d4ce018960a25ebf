"""What `grpo-kit plan` and ``--dry-run`` say of a run on this machine's CPU."""

from __future__ import annotations

from rich.console import Console

from grpo_kit.config import Config
from grpo_kit.objective.rows import Algorithm
from grpo_kit.observe.tables import Column, show_table
from grpo_kit.observe.terminal import line, warn

from .cpu import Forecast, forecast
from .lengths import Lengths
from .shape import ModelShape
from .trial import Pace
from .work import work_of


def show_cpu_time(
    console: Console, config: Config, objective: Algorithm, shape: ModelShape, expected: Lengths
) -> Forecast:
    """Time pieces of the model for a second or two; print the time of each stage, and of the whole run, and return it."""
    work = work_of(config, objective, expected.prompt, expected.mean)
    found = forecast(config, objective, shape, work, expected.draw(1, work.sequences)[0])
    line(console, _assumed(config, objective, expected, found.pace))
    columns = [
        Column("time of"),
        Column("each", right=True),
        Column("times", right=True),
        Column("in all", right=True),
    ]
    show_table(console, columns, _rows(found), framed=False)
    warn_of_dtype(console, found.pace)
    return found


def _rows(found: Forecast) -> list[tuple[str, str, str, str]]:
    rows = [(name, duration(seconds), str(times), duration(seconds * times)) for name, seconds, times in found.stages()]
    return [*rows, ("the run", "", "", duration(found.total))]


def _assumed(config: Config, objective: Algorithm, expected: Lengths, pace: Pace) -> str:
    told = " and ".join(f"{rate / 1e9:.0f} GFLOP/s in {dtype}" for dtype, rate in pace.products.items())
    threads = f"{pace.threads} thread{'s' * (pace.threads > 1)}"
    longest = "each, the most there may be" if expected.mean >= expected.most else "on average"
    engine = (
        "" if objective.recorded or config.rollout.engine == "torch" else "; sampling as with rollout.engine: torch"
    )
    inserted = f", {config.inserted} tokens inserted into each at most" if config.inserted else ""
    return (
        f"by pieces of this model, timed here and now with {threads} (its matrix products: {told}); prompts of "
        f"{expected.prompt:.0f} tokens, responses of {expected.mean:.0f} {longest}{inserted}, every response trained on{engine}"
    )


def warn_of_dtype(console: Console, pace: Pace) -> None:
    """Bfloat16 products without the processor's instructions for them are several times slower than float32 ones."""
    half, full = pace.products.get("bfloat16"), pace.products["float32"]
    if half is not None and half < full:
        warn(
            console,
            f"model.dtype bfloat16: this machine does {half / 1e9:.0f} GFLOP/s in bfloat16 against {full / 1e9:.0f} in float32 "
            "(its processor lacks avx512_bf16 and amx_bf16, or torch does not use them); model.dtype=float32 is faster",
        )


def duration(seconds: float) -> str:
    """In the unit that a person would use."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{1000 * seconds:.1f} ms"
