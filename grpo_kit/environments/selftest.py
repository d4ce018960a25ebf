"""What every environment is held to: its cases come out, attacks neither break it nor are paid, and turns said again are
answered as before, which is what rebuilding an episode in another process rests on."""

from __future__ import annotations

import random
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grpo_kit.runtime.case_file import read_case_file
from grpo_kit.types import Message, Task

from .attacks import attacks, random_turn
from .base import Answer, Environment, Episode
from .cases import Case
from .formats import Call, Format, write
from .lookup import EnvironmentSpec, get_part
from .register import cases_of
from .worker import encode, plain_messages

RANDOM_EPISODES = 5
GROUND = Case((), prompt="What is the answer?", answer="42")  # what is played on where there are neither cases nor data
LONGEST_ANSWER = 50_000  # characters
TOLERANCE = 1e-9


class _Late(BaseException):
    """Of no kind that an environment's own code catches."""


@dataclass(frozen=True)
class Row:
    """One line of the report. ``problem`` is empty when all is well.

    Attributes:
        turns: that were answered; ``seconds``: of the slowest answer; ``reward``: of the whole episode.
    """

    kind: str
    label: str
    turns: int
    seconds: float
    reward: float | None = None
    problem: str = ""


@dataclass
class Played:
    """An episode as it went: what was said, what came back, and what went wrong."""

    begin: list[Message] = field(default_factory=list)
    turns: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    problem: str = ""

    @property
    def done(self) -> bool:
        return bool(self.answers) and self.answers[-1].done

    @property
    def reward(self) -> float | None:
        """Of the whole episode: rewards of turns and of its end; None where nothing was paid."""
        paid = [answer.turn_reward for answer in self.answers if answer.turn_reward]
        paid += [answer.reward for answer in self.answers if answer.reward is not None]
        return sum(paid) if paid else None

    @property
    def heard(self) -> list[Message]:
        return [*self.begin, *(message for answer in self.answers for message in answer.messages)]

    def row(self, kind: str, label: str, problem: str = "") -> Row:
        return Row(kind, label, len(self.answers), self.seconds, self.reward, self.problem or problem)


def read_cases(path: Path) -> list[Case]:
    """Cases from JSONL rows with ``turns`` and, optional, the other fields of `Case`. A call is ``{"name", "arguments"}``.

    Raises:
        ValueError: names the line that cannot be read.
    """
    known = set(Case.__dataclass_fields__)
    cases = []
    for where, line, row in read_case_file(path):
        if not isinstance(row, dict) or not isinstance(row.get("turns"), list) or not row.keys() <= known:
            others = ", ".join(sorted(known - {"turns"}))
            raise ValueError(
                f"{where}: a case is an object with 'turns', a list, and, optional, {others}; got {line[:100]}"
            )
        turns = [_turn(turn, where) for turn in row["turns"]]
        try:
            cases.append(Case(**{**row, "turns": turns}))
        except TypeError as error:
            raise ValueError(f"{where}: {error}") from error
    return cases


def _turn(turn: Any, where: str) -> str | list[Call]:
    if isinstance(turn, str):
        return turn
    try:
        return [Call(**one) for one in (turn if isinstance(turn, list) else [turn])]
    except TypeError as error:
        raise ValueError(
            f"{where}: a turn is text, or a call as {{name, arguments}}, or a list of these; got {turn!r:.80}"
        ) from error


def examine(spec: EnvironmentSpec, cases: Sequence[Case] | None = None, tasks: Sequence[Task] = ()) -> list[Row]:
    """Play the cases, a random policy and the attacks, and everything a second time; one row for each.

    Args:
        cases: in place of the environment's own.
        tasks: on which the random policy plays, and which are attacked; default: those of the cases.

    It runs in this process: a reply that takes longer than the environment's timeout is ended, where it runs Python.

    Raises:
        UserError: the environment is not there, or its options are not its own.
    """
    spec = with_example(spec, cases)
    environment = spec.find()
    given = list(environment.cases if cases is None else cases)
    chosen = [replace(case, options={**spec.options, **case.options}) for case in given]
    trial = _Trial(environment, spec.format)
    rows: list[Row] = []
    rehearsed: list[tuple[Case, Played]] = []
    for number, case in enumerate(chosen, 1):
        played = trial.scripted(case)
        rows.append(played.row("case", case.label or f"case {number}", _missed(case, played)))
        rehearsed.append((case, played))
    grounds = [Case((), prompt=t.prompt, answer=t.answer, meta=t.meta, options=spec.options) for t in tasks]
    grounds = grounds or [replace(case, options={**case.options, **spec.options}) for case in given or [GROUND]]
    for number in range(RANDOM_EPISODES):
        case = replace(grounds[number % len(grounds)], seed=number)
        played = trial.wandering(case, random.Random(f"random policy {number}"))
        rows.append(played.row("random", f"random policy {number + 1}"))
        rehearsed.append((case, played))
    gold = max((p.reward for c, p in rehearsed if c in chosen and p.reward is not None), default=0.0)
    rows += trial.attacked(grounds[0], gold)
    return rows + list(trial.replayed([(c, p) for c, p in rehearsed if not p.problem]))


def with_example(spec: EnvironmentSpec, cases: Sequence[Case] | None = None) -> EnvironmentSpec:
    """With the options of its first case for those that its class needs and nobody gave: so it can be tried by itself."""
    part = None if spec.name is None else get_part(spec.name)
    if part is None or all(optional or name in spec.options for name, optional in part.options.items()):
        return spec
    own = cases_of(part) if cases is None else cases
    return replace(spec, options={**next((case.options for case in own), {}), **spec.options})


def _missed(case: Case, played: Played) -> str:
    """What a case was promised and did not get."""
    for number, (words, answer) in enumerate(zip(case.replies, played.answers, strict=False), 1):
        said = "\n".join(message["content"] for message in answer.messages)
        if words not in said:
            return f"turn {number} should be answered by {words!r}, and was by {said!r:.80}"
    if len(played.answers) < len(case.turns):
        return f"over after turn {len(played.answers)} of {len(case.turns)}"
    if played.done != case.done:
        return "not over after its last turn" if case.done else "over after its last turn"
    if case.reward is not None and (played.reward is None or abs(played.reward - case.reward) > TOLERANCE):
        return f"should pay {case.reward:g}, and paid {'nothing' if played.reward is None else f'{played.reward:g}'}"
    return ""


@dataclass(frozen=True)
class _Trial:
    environment: Environment
    format: Format

    def scripted(self, case: Case) -> Played:
        turns = [_written(turn, self.format) for turn in case.turns]
        return self.play(case, lambda played: turns[len(played.turns)], len(turns))

    def wandering(self, case: Case, draw: random.Random) -> Played:
        def write(played: Played) -> str:
            return random_turn(draw, self.environment, [*case.task().messages, *played.heard], self.format)

        return self.play(case, write, self.environment.turns)

    def play(self, case: Case, policy: Callable[[Played], str], most: int) -> Played:
        played = Played()
        with self._opened(case, played) as episode:
            while episode is not None and not played.done and not played.problem and len(played.turns) < most:
                self.say(episode, played, policy(played))
        return played

    @contextmanager
    def _opened(self, case: Case, played: Played) -> Iterator[Episode | None]:
        """An episode that has begun; None where it did not, which ``played.problem`` tells."""
        episode: Episode | None = None
        try:
            with self._guarded(played):
                episode = self.environment.open(case.task(), case.seed, case.options)
                played.begin = list(episode.begin())
                plain_messages(played.begin)
                if (size := _size(played.begin)) > LONGEST_ANSWER:
                    played.problem = f"begins with {size:,} characters, for which no prompt has room"
            yield episode if not played.problem else None
        finally:
            if episode is not None:
                with self._guarded(played):
                    episode.close()

    def say(self, episode: Episode, played: Played, text: str) -> None:
        played.turns.append(text)
        began = time.perf_counter()
        with self._guarded(played):
            answer = episode.reply(text, text)
            encode(answer)  # what a worker process refuses is refused here
            played.answers.append(answer)
        played.seconds = max(played.seconds, time.perf_counter() - began)
        size = _size(played.answers[-1].messages) if played.answers else 0
        if size > LONGEST_ANSWER and not played.problem:
            played.problem = f"answered with {size:,} characters, for which no episode has room"

    @contextmanager
    def _guarded(self, played: Played) -> Iterator[None]:
        try:
            with _deadline(self.environment.timeout):
                yield
        except _Late:
            played.problem = f"took longer than the timeout of {self.environment.timeout:g} s"
        except (Exception, SystemExit) as error:
            played.problem = (
                f"raised {_said(error)}; ToolError tells the policy what it got wrong, all else ends the episode"
            )

    def attacked(self, case: Case, gold: float) -> Iterator[Row]:
        with tempfile.TemporaryDirectory() as folder:
            canary = Path(folder) / "canary"
            for attack in attacks(self.environment, self.format, canary):
                played = self.play(case, lambda _, text=attack.text: text, 1)  # type: ignore[misc]
                paid = gold > 0 and played.reward is not None and played.reward >= gold - TOLERANCE
                yield played.row("attack", attack.label, f"paid {played.reward:g} for an attack" if paid else "")
            if canary.exists():
                yield Row("attack", "canary", 0, 0.0, None, "the turn was executed: it wrote a file")

    def replayed(self, rehearsed: Sequence[tuple[Case, Played]]) -> Iterator[Row]:
        """The same turns said to a second episode, and to two that take turns."""
        for label, told in (("said again", self._again), ("said to two at once", self._side_by_side)):
            slowest, problem = 0.0, ""
            for case, before in rehearsed:
                for after in told(case, before):
                    slowest, problem = max(slowest, after.seconds), problem or _differs(before, after)
            yield Row("replay", label, sum(len(p.answers) for _, p in rehearsed), slowest, None, problem)

    def _again(self, case: Case, before: Played) -> list[Played]:
        return [self.play(case, lambda played: before.turns[len(played.turns)], len(before.turns))]

    def _side_by_side(self, case: Case, before: Played) -> list[Played]:
        one, other = Played(), Played()
        with self._opened(case, one) as first, self._opened(case, other) as second:
            for text in before.turns:
                for episode, played in ((first, one), (second, other)):
                    if episode is not None and not played.problem:
                        self.say(episode, played, text)
        return [one, other]


def _differs(before: Played, after: Played) -> str:
    hint = "; an episode is a function of its task, its seed and its turns: use the `random` that begin is given, and no state "
    hint += "outside of self"
    if after.problem:
        return f"{after.problem} (not so the first time){hint}"
    if before.begin != after.begin:
        return f"began with {_contents(after.begin)!r:.80} instead of {_contents(before.begin)!r:.80}{hint}"
    for number, (first, second) in enumerate(zip(before.answers, after.answers, strict=False), 1):
        if first != second:
            said = f"{_contents(second.messages)!r:.60} instead of {_contents(first.messages)!r:.60}"
            return f"turn {number} is answered by {said}{hint}"
    return "" if len(before.answers) == len(after.answers) else f"ended after another number of turns{hint}"


def _size(messages: Sequence[Message]) -> int:
    return sum(len(message["content"]) for message in messages)


def _contents(messages: Sequence[Message]) -> str:
    return "\n".join(message["content"] for message in messages)


def _written(turn: Any, format: Format) -> str:
    if isinstance(turn, str):
        return turn
    return write([turn] if isinstance(turn, Call) else list(turn), format)


def _said(error: BaseException) -> str:
    """The exception, and the line of the user's own code that it comes from."""
    ours = str(Path(__file__).parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error!s:.120}{where}"


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raises `_Late` in the code that runs too long; in the main thread alone, where signals are heard."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(*_: object) -> None:
        raise _Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def conversation(spec: EnvironmentSpec, case: Case) -> tuple[list[Message], Mapping[str, Any]]:
    """The messages of a scripted episode, and how it ended: for people."""
    found = with_example(spec, [case]).find()
    played = _Trial(found, spec.format).scripted(replace(case, options={**spec.options, **case.options}))
    messages = [*case.task().messages, *played.begin]
    for turn, answer in zip(played.turns, played.answers, strict=False):
        messages += [Message(role="assistant", content=turn), *answer.messages]
    return messages, {"done": played.done, "reward": played.reward, "problem": played.problem}
