"""What a person sees while a run goes on: a progress bar with the numbers that matter, or plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from grpo_kit.evaluate.run import EvalResult, Judged
from grpo_kit.types import Group, Score

PLAIN_LINES = 20  # lines per stage when the output is not a terminal


class RunConsole:
    """Progress of a run on a terminal or in a log file."""

    def __init__(self, console: Console | None = None, plain_lines: int = PLAIN_LINES) -> None:
        self.console = console or Console(highlight=False)
        self.plain_lines = plain_lines
        self._progress: Progress | None = None

    def say(self, text: str) -> None:
        # A log file is not 80 columns wide: lines stay whole there.
        self.console.print(text, markup=False, soft_wrap=not self.console.is_terminal)

    def warn(self, text: str) -> None:
        wrap = not self.console.is_terminal
        self.console.print(f"warning: {text}", style="yellow", markup=False, soft_wrap=wrap)

    @contextmanager
    def stage(self, name: str, total: int, start: int = 0) -> Iterator[Stage]:
        if not self.console.is_terminal:
            yield Stage(self, name, total)
            return
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(name, total=total, completed=start, numbers="")
            yield Stage(self, name, total, progress, task)

    def show_evaluation(self, label: str, result: EvalResult) -> None:
        self.say(
            f"{label}: held-out accuracy {result.sampled:.1%} sampled (avg@{result.samples}, 95 % {result.interval})"
            f", {result.greedy:.1%} greedy, on {result.problems} problems, judged by {result.judge or 'an unnamed verifier'}"
        )

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
        shown = Text(prompt[-600:], style="dim") + Text(" ") + Text(response[-1200:])
        if self.console.is_terminal:
            self.console.print(Panel(shown, title=title, title_align="left", border_style=style))
        else:
            self.say(f"  [{title}] {shown.plain!r}")

    def show_comparison(self, rows: Sequence[tuple[str, EvalResult]]) -> None:
        judges = " and ".join(dict.fromkeys(r.judge for _, r in rows if r.judge))
        table = Table(title=f"Held-out accuracy, judged by {judges}" if judges else "Held-out accuracy")
        for column in ("", f"sampled (avg@{rows[0][1].samples})", "greedy", "truncated", "mean length"):
            table.add_column(column, justify="right" if column else "left")
        for label, r in rows:
            table.add_row(
                label,
                f"{r.sampled:.1%} {r.interval}",
                f"{r.greedy:.1%}",
                f"{r.truncated:.1%}",
                f"{r.mean_length:.1f}",
            )
        self.console.print(table)


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
        shown = "  ".join(f"{k} {v}" for k, v in numbers.items())
        if self.progress is not None:
            self.progress.update(self.task, completed=step, numbers=shown)  # type: ignore[arg-type]
        elif step == self.total or step % max(1, self.total // self.owner.plain_lines) == 0:
            self.owner.say(f"{self.name} {step}/{self.total}  {shown}")
