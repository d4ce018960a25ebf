"""What a run shows of itself in a terminal: outcomes of evaluations, and completions with their marks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.panel import Panel
from rich.text import Text

from grpo_kit.evaluate.outcome import Outcome
from grpo_kit.evaluate.records import Record
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.tables import Column, show_table
from grpo_kit.observe.terminal import clip, shown
from grpo_kit.types import Group, Score

from .conversation import STYLES as CONVERSATION
from .conversation import Said, conversation, ended

STYLES = {"right": "green", "wrong": "red", "not judged": "yellow"}
TURN_SHOWN = 400  # characters of one turn, or of one reply


def _mark(verdict: Score | Record) -> str:
    return ("right" if verdict.right else "wrong") if verdict.counts else "not judged"


def show_evaluation(console: RunConsole, label: str, result: Outcome) -> None:
    console.say(f"{label}: {result}")


def show_examples(console: RunConsole, step: int, groups: Sequence[Group]) -> None:
    """The completions of highest and lowest reward of the step, each with the judge's mark."""
    pairs = [
        (g, c, s, v) for g in groups for c, s, v in zip(g.completions, g.scores, g.verdicts(), strict=True) if s.counts
    ]
    if not pairs:
        return
    best, worst = max(pairs, key=lambda p: p[2].value), min(pairs, key=lambda p: p[2].value)
    for group, completion, score, verdict in (best, worst):
        mark = _mark(verdict)
        of_set = f"{group.task.data_set}, " if group.task.data_set else ""
        title = f"step {step}, {of_set}reward {score.value:g}, {mark}"
        said = conversation(group.task.messages, completion.turns) if completion.turns else []
        why = ended(completion.turns, completion.ending) if said else ""
        _example(console, title, STYLES[mark], group.task.prompt, completion.text, said, why)
        if best[2].value == worst[2].value:
            break


def show_solutions(console: RunConsole, answers: Sequence[Record], judge: str) -> None:
    """Greedy answers, each with the judge's mark."""
    for record in answers:
        mark = _mark(record)
        answer = f", the answer is {record.answer}" if mark == "wrong" else ""
        title = f"{mark}, judged by {judge}{answer}"
        said = conversation(record.messages, record.turns) if record.turns else []
        why = ended(record.turns, record.ending) if said else ""
        _example(console, title, STYLES[mark], record.prompt, record.response, said, why)


def _example(
    console: RunConsole, title: str, style: str, prompt: str, response: str, said: Sequence[Said], why: str
) -> None:
    """said, why: of an episode, which is shown turn by turn."""
    title = " ".join(title.split())  # answers of data may be of several lines
    if said:
        _example_of_turns(console, title, style, said, why)
        return
    asked, answer = (shown(console.console, clip(t, n, end=True)) for t, n in ((prompt, 600), (response, 1200)))
    if console.console.is_terminal:
        text = Text(asked, style="dim") + Text(f" {answer}", style="not dim")
        name = Text(shown(console.console, title))
        console.console.print(Panel(text, title=name, title_align="left", border_style=style))
    else:
        console.say(f"  [{title}] {' '.join(f'{asked} {answer}'.split())}")


def _example_of_turns(console: RunConsole, title: str, style: str, said: Sequence[Said], why: str) -> None:
    found = [(" ".join(f"{o.who} ({o.kind})".split()), clip(o.text, TURN_SHOWN, end=True), o.sampled) for o in said]
    if not console.console.is_terminal:
        console.say(f"  [{title}, {why}]")
        for who, text, _ in found:
            console.say(f"    {who}: {' '.join(text.split())}")
        return
    parts = [
        Text(shown(console.console, f"{who}: {text}"), style=CONVERSATION[sampled]) for who, text, sampled in found
    ]
    name = Text(shown(console.console, f"{title}, {why}"))
    console.console.print(Panel(Text("\n").join(parts), title=name, title_align="left", border_style=style))


def show_comparison(console: RunConsole, rows: Sequence[tuple[str, Outcome]]) -> None:
    """Outcomes of one measure, a row each. Where their judges differ each row names its own."""
    measure, judges = rows[0][1].measure, list(dict.fromkeys(r.judge for _, r in rows if r.judge))
    title = f"{measure}, judged by {judges[0]}" if len(judges) == 1 else measure
    shown = [r.cells() | ({"judged by": r.judge or "unknown"} if len(judges) > 1 else {}) for _, r in rows]
    names = list(dict.fromkeys(name for cells in shown for name in cells))
    columns = [Column(""), *(Column(name, right=name != "judged by") for name in names)]
    cells = [(label, *(row.get(name, "") for name in names)) for (label, _), row in zip(rows, shown, strict=True)]
    show_table(console.console, columns, cells, title=title)
