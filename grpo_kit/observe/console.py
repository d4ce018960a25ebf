"""What a person sees while a run goes on: a progress bar with the numbers that matter, or plain lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Column as RichColumn
from rich.text import Text

from .terminal import WIDE, draws, line, open_console, warn

PLAIN_LINES = 20  # lines per stage when the output is not a terminal


class RunConsole:
    """Progress of a run on a terminal or in a log file."""

    def __init__(self, console: Console | None = None, plain_lines: int = PLAIN_LINES) -> None:
        self.console = console or open_console()
        self.plain_lines = plain_lines

    def say(self, text: str) -> None:
        line(self.console, text)

    def warn(self, text: str) -> None:
        warn(self.console, text)

    @contextmanager
    def stage(self, name: str, total: int, start: int = 0) -> Iterator[Stage]:
        if not draws(self.console):
            yield Stage(self, name, total)
            return
        columns = (
            TextColumn("{task.description}", style="bold", markup=False),
            _Bar(self.console),
            _Done(),
            _Elapsed(self.console),
            TimeRemainingColumn(),
            _Numbers(table_column=RichColumn(ratio=1, no_wrap=True)),
        )
        with Progress(*columns, console=self.console, expand=True) as progress:
            task = progress.add_task(name, total=total, completed=start, done=start, numbers={})
            yield Stage(self, name, total, progress, task, start)


class Stage:
    """One bar of progress, or a line now and then."""

    def __init__(
        self,
        owner: RunConsole,
        name: str,
        total: int,
        progress: Progress | None = None,
        task: int | None = None,
        start: int = 0,
    ) -> None:
        self.owner, self.name, self.total, self.progress, self.task = owner, name, total, progress, task
        self.done, self.drawn = start, float(start)

    def advance(self, step: int, numbers: dict[str, str]) -> None:
        self.done = step
        if self.progress is not None:
            self._draw(step, done=step, numbers=numbers)
        elif step == self.total or step % max(1, self.total // self.owner.plain_lines) == 0:
            said = "  ".join(f"{k} {v}" for k, v in numbers.items())
            self.owner.say(f"{self.name} {step}/{self.total}  {said}".rstrip())

    def under_way(self, amount: float) -> None:
        """How much is there of what is not done: the bar moves, and the time that is left is known, before anything is done."""
        if self.progress is not None:
            self._draw(min(self.total, self.done + amount))

    @contextmanager
    def aside(self, name: str, total: int) -> Iterator[Callable[[float], None]]:
        """A bar of its own below this one while something else is under way; it is told how much of it is there."""
        if self.progress is None:
            yield lambda reached: None
            return
        progress = self.progress
        task = progress.add_task(name, total=total, done=0, numbers={})
        try:
            yield lambda reached: progress.update(task, completed=reached, done=int(reached))
        finally:
            progress.remove_task(task)

    def _draw(self, reached: float, **fields: Any) -> None:
        """The bar never goes back: what is finished by its tokens may still have to be judged."""
        assert self.progress is not None
        self.drawn = max(self.drawn, reached)
        self.progress.update(self.task, completed=self.drawn, **fields)  # type: ignore[arg-type]


class _Done(ProgressColumn):
    """What is done of all; the bar shows what is under way as well."""

    def render(self, task: Task) -> Text:
        total = int(task.total or 0)
        return Text(f"{task.fields['done']:{len(str(total))}d}/{total}", style="progress.download")


class _Bar(BarColumn):
    """A bar that leaves room for the numbers, also after the window was made smaller."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def render(self, task: Task) -> ProgressBar:
        self.bar_width = 24 if self.console.width >= WIDE else 10
        return super().render(task)


class _Elapsed(TimeElapsedColumn):
    """Left out where there is little room; the time that remains says more."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def render(self, task: Task) -> Text:
        return super().render(task) if self.console.width >= WIDE else Text("")


class _Numbers(ProgressColumn):
    """As many of a step's numbers as there is room for, each of them whole."""

    def render(self, task: Task) -> _Fitting:
        return _Fitting([f"{name} {value}" for name, value in task.fields["numbers"].items()])


class _Fitting:
    """Parts of a line: those that fit, from the first on."""

    def __init__(self, parts: Sequence[str]) -> None:
        self.parts = parts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fitting = ""
        for part in self.parts:
            longer = f"{fitting}  {part}" if fitting else part
            if len(longer) > options.max_width:
                break
            fitting = longer
        yield Text(fitting)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(0, options.max_width)
