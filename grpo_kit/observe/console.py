"""What a person sees while a run goes on: a progress bar with the numbers that matter, or plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
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

from grpo_kit.evaluate.outcome import Outcome
from grpo_kit.evaluate.run import Judged
from grpo_kit.types import Group, Score

from .tables import Column, show_table
from .terminal import WIDE, clip, draws, line, open_console, shown, warn

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
            MofNCompleteColumn(),
            _Elapsed(self.console),
            TimeRemainingColumn(),
            _Numbers(table_column=RichColumn(ratio=1, no_wrap=True)),
        )
        with Progress(*columns, console=self.console, expand=True) as progress:
            task = progress.add_task(name, total=total, completed=start, numbers={})
            yield Stage(self, name, total, progress, task)

    def show_evaluation(self, label: str, result: Outcome) -> None:
        self.say(f"{label}: {result}")

    def show_examples(self, step: int, groups: Sequence[Group]) -> None:
        """The completions of highest and lowest reward of the step, each with the judge's mark."""
        pairs = [
            (g, c, s, v)
            for g in groups
            for c, s, v in zip(g.completions, g.scores, g.verdicts(), strict=True)
            if s.counts
        ]
        if not pairs:
            return
        best, worst = max(pairs, key=lambda p: p[2].value), min(pairs, key=lambda p: p[2].value)
        for group, completion, score, verdict in (best, worst):
            mark = _mark(verdict)
            title = f"step {step}, reward {score.value:g}, {mark}"
            self._example(title, STYLES[mark], group.task.prompt, completion.text)
            if best[2].value == worst[2].value:
                break

    def show_solutions(self, judged: Sequence[Judged], judge: str) -> None:
        """Greedy answers, each with the judge's mark."""
        for item in judged:
            mark = _mark(item.score)
            answer = f", the answer is {item.task.answer}" if mark == "wrong" else ""
            title = f"{mark}, judged by {judge}{answer}"
            self._example(title, STYLES[mark], item.task.prompt, item.completion.text)

    def _example(self, title: str, style: str, prompt: str, response: str) -> None:
        title = " ".join(title.split())  # answers of data may be of several lines
        asked, said = (shown(self.console, clip(t, n, end=True)) for t, n in ((prompt, 600), (response, 1200)))
        if self.console.is_terminal:
            text = Text(asked, style="dim") + Text(f" {said}", style="not dim")
            name = Text(shown(self.console, title))
            self.console.print(Panel(text, title=name, title_align="left", border_style=style))
        else:
            self.say(f"  [{title}] {' '.join(f'{asked} {said}'.split())}")

    def show_comparison(self, rows: Sequence[tuple[str, Outcome]]) -> None:
        """Outcomes of one measure, a row each. Where their judges differ each row names its own."""
        measure, judges = rows[0][1].measure, list(dict.fromkeys(r.judge for _, r in rows if r.judge))
        title = f"{measure}, judged by {judges[0]}" if len(judges) == 1 else measure
        shown = [r.cells() | ({"judged by": r.judge or "unknown"} if len(judges) > 1 else {}) for _, r in rows]
        names = list(dict.fromkeys(name for cells in shown for name in cells))
        columns = [Column(""), *(Column(name, right=name != "judged by") for name in names)]
        cells = [(label, *(row.get(name, "") for name in names)) for (label, _), row in zip(rows, shown, strict=True)]
        show_table(self.console, columns, cells, title=title)


STYLES = {"right": "green", "wrong": "red", "not judged": "yellow"}


def _mark(verdict: Score) -> str:
    return ("right" if verdict.right else "wrong") if verdict.counts else "not judged"


class Stage:
    """One bar of progress, or a line now and then."""

    def __init__(
        self, owner: RunConsole, name: str, total: int, progress: Progress | None = None, task: int | None = None
    ) -> None:
        self.owner, self.name, self.total, self.progress, self.task = owner, name, total, progress, task

    def advance(self, step: int, numbers: dict[str, str]) -> None:
        if self.progress is not None:
            self.progress.update(self.task, completed=step, numbers=numbers)  # type: ignore[arg-type]
        elif step == self.total or step % max(1, self.total // self.owner.plain_lines) == 0:
            said = "  ".join(f"{k} {v}" for k, v in numbers.items())
            self.owner.say(f"{self.name} {step}/{self.total}  {said}".rstrip())


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
