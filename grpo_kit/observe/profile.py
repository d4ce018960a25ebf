"""`--profile N`: a trace of a few steps for a browser, and on one page where their seconds went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile, record_function

from .clock import Clock

PHASES = {
    "data": "reading and tokenising prompts",
    "replay": "reading groups of earlier steps",
    "generate": "sampling responses",
    "score": "verifiers",
    "gather": "handing groups to every rank",
    "update": "the rest of the update: batches, advantages, reference",
    "update/logprob": "log-probabilities before the first of several updates, and of the reference",
    "update/forward": "log-probabilities and loss, forward",
    "update/backward": "backward, and the wait for the device",
    "update/optimizer": "AdamW",
    "update/critic/forward": "the critic's values and loss",
    "update/critic/backward": "the critic's backward",
    "update/critic/optimizer": "the critic's AdamW",
    "sync": "weights to the engine",
    "evaluate": "held-out accuracy",
    "log": "metrics and rollouts to disk",
    "report": "the HTML page",
    "save": "checkpoints",
    "unaccounted": "what no phase claimed",
}
OPERATIONS = 12  # the costliest, in the table


class Profile:
    """Listens to a run's clock: from the end of its first step on it traces ``steps`` steps, then writes what it saw.

    Writes ``trace.json.gz`` (for ui.perfetto.dev or chrome://tracing) and ``phases.txt`` into ``folder``. On a GPU every phase
    waits for the device at its end, so that the seconds of a phase are its own.
    """

    def __init__(self, clock: Clock, steps: int, folder: Path, say: Callable[[str], None]) -> None:
        self.clock, self.steps, self.folder, self.say = clock, steps, folder, say
        self.seen: list[dict[str, float]] = []
        self.untraced: float | None = None
        self._finished = 0
        self._tracer: profile | None = None
        self._operations = ""
        clock.listeners.append(self._step_ended)

    def _step_ended(self, seconds: dict[str, float]) -> None:
        self._finished += 1  # once before the first step
        if self._tracer is not None:
            self.seen.append(seconds)
            if len(self.seen) == self.steps:
                self._stop()
        elif self._finished == 2:
            self._start()
        elif self.seen:
            self.untraced = seconds["seconds/total"]
            self.close()

    def _start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        cuda = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
        self._tracer = profile(activities=[ProfilerActivity.CPU, *cuda])
        self._tracer.__enter__()
        self.clock.region = _region

    def _stop(self) -> None:
        assert self._tracer is not None
        self.clock.region = None
        self._tracer.__exit__(None, None, None)
        self._tracer.export_chrome_trace(str(self.folder / "trace.json.gz"))
        by = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        self._operations = self._tracer.key_averages().table(sort_by=by, row_limit=OPERATIONS, max_name_column_width=40)
        self._tracer = None

    def close(self) -> None:
        """Write what was seen; at the latest when the run ends."""
        if self._step_ended not in self.clock.listeners:
            return
        self.clock.listeners.remove(self._step_ended)
        if self._tracer is not None:
            self._stop()
        if not self.seen:
            self.say("profile: the run ended before its second step did, so there is nothing to show")
            return
        text = phase_table(self.seen, self.untraced)
        (self.folder / "phases.txt").write_text(f"{text}\n{self._operations}", encoding="utf-8")
        self.say(
            f"{text}\ntrace (ui.perfetto.dev): {self.folder / 'trace.json.gz'}; operations: {self.folder / 'phases.txt'}"
        )


@contextmanager
def _region(name: str) -> Iterator[None]:
    with record_function(f"phase: {name}"):
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()


def shares(seen: list[dict[str, float]]) -> dict[str, float]:
    """Mean seconds a step of every phase, ``unaccounted`` last; together they are the step."""
    names = {name.removeprefix("seconds/"): None for step in seen for name in step if name.startswith("seconds/")}
    order = [*PHASES, *(name for name in names if name not in PHASES)]
    return {
        name: sum(step.get(f"seconds/{name}", 0.0) for step in seen) / len(seen)
        for name in sorted((n for n in names if n != "total"), key=order.index)
    }


def phase_table(seen: list[dict[str, float]], untraced: float | None) -> str:
    """A page of text.

    Args:
        seen: of every traced step, the seconds of its phases as `Clock.finish` gives them.
        untraced: seconds of a step without the tracer, to tell what tracing itself cost.
    """
    found = shares(seen)
    total = sum(step["seconds/total"] for step in seen) / len(seen)
    table = Table(title=f"Seconds of a step, mean of {len(seen)}", box=None, title_justify="left")
    for column, side in (("phase", "left"), ("seconds", "right"), ("share", "right"), ("", "left")):
        table.add_column(column, justify=side)  # type: ignore[arg-type]
    for name, seconds in found.items():
        table.add_row(name, f"{seconds:.4f}", f"{seconds / total:.1%}", PHASES.get(name, ""))
    table.add_row("total", f"{total:.4f}", f"{sum(found.values()) / total:.1%}", _slowed(total, untraced))
    page = Console(width=110, record=True, file=_Nowhere())  # type: ignore[arg-type]
    page.print(table)
    return "\n".join(line.rstrip() for line in page.export_text().splitlines())


def _slowed(total: float, untraced: float | None) -> str:
    return "" if untraced is None else f"the step after it, without the tracer: {untraced:.4f}"


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return None
