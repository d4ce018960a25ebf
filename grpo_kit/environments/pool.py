"""The pool of environments: episodes live in worker processes, and are made again where one dies.

An episode is a function of its task, its seed and what it was told, so its object can be lost: the trainer's side keeps what
was said to it and a digest of what it answered, tells it all again to another worker, and compares. That happens when the
episode is next needed, so a worker's death costs each of its episodes at most one repetition for each of its turns.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import pickle
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from grpo_kit.errors import RunFailed
from grpo_kit.observe.measure import Measures
from grpo_kit.scoring.channel import CHANNEL_LOST, LOADING, MAX_ATTEMPTS, RECYCLE, TEXT_LIMIT, TRACEBACK_LIMIT
from grpo_kit.scoring.processes import IMPORT_SECONDS, Importable, Process, Processes
from grpo_kit.types import Message, Score, Task

from .base import Answer
from .worker import BEGUN, CLOSE, KEYS, MOST_CHARACTERS, OPEN, REPLY

# What waits in a worker's socket while the trainer's thread holds the interpreter: so many seconds, in calls. Where calls are
# slow it is little, since an episode that has been sent to one worker cannot be taken by another that is free.
AHEAD_SECONDS = 0.03
FEWEST_AHEAD, MOST_AHEAD = 2, 64
MOST_REPLY = 16 * MOST_CHARACTERS  # bytes; every character may be written as an escape of twelve
# Episodes that a busy worker closes with one call, where calls take less than so many seconds. What an episode holds (a
# process, files) is held until then.
CLOSED_TOGETHER, CHEAP_SECONDS = 16, 1e-3
# How long the first of such answers waits for those behind it: to be woken costs more than to read one.
GATHER_SECONDS = 5e-4


class EnvironmentFailed(RunFailed):
    """Episodes can no longer be played: the environment fails too often, or no worker can be started."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one call. Exactly one of ``answer`` and ``failure``.

    Attributes:
        seconds: that the environment took.
        full: the messages were cut, being longer than any episode has room for.
        digest: of the answer.
    """

    answer: Answer | None = None
    failure: Score | None = None
    seconds: float = 0.0
    full: bool = False
    traceback: str = ""
    digest: bytes = b""


def packed(task: Task) -> bytes | Score:
    """A task as it travels to a worker, or why it cannot."""
    try:
        return pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # whatever a user's own class raises
        reason = f"the task's answer or meta cannot be sent to a worker: {type(error).__name__}: {error}"
        return Score(status="error", reason=reason[:TEXT_LIMIT])


@dataclass(eq=False)
class Line:
    """One episode, as the trainer's side keeps it.

    Its calls are numbered: 0 opens it and begins, i tells it turn i - 1.

    Attributes:
        content: the task, see `packed`.
        heard: digests of the answers so far; those that it gives again are compared with them.
        said: (text, raw) of the turns that it has to answer.
        home: the worker that its object lives in; None where it has none.
        sent: calls that were sent there.
        homes: workers that it has lived in.
        over: nothing more is wanted of it.
    """

    key: int
    content: bytes
    seed: int
    deliver: Callable[[Heard], None]
    heard: list[bytes] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)
    home: Player | None = None
    sent: int = 0
    homes: int = 0
    queued: bool = False
    over: bool = False
    deaths: int = 0

    @property
    def waits(self) -> bool:
        return not self.over and len(self.heard) <= len(self.said)


class Player(Process):
    """The pool's side of one worker process that plays episodes."""

    def __init__(self, number: int, channel: socket.socket, heartbeat: Any, timeout: float) -> None:
        super().__init__(number, channel, heartbeat)
        # id, episode (None: some are closed), numbers of the episode's calls that it makes; in the order of their answers
        self.calls: deque[tuple[int, Line | None, range]] = deque()
        self.ready: deque[Line] = deque()  # episodes that live here and have something to be told
        self.lines: set[Line] = set()
        self.over: list[int] = []  # keys of episodes that lived here and are to be closed
        self._timeout = timeout

    @property
    def busy(self) -> bool:
        return bool(self.calls)

    @property
    def timeout(self) -> float:
        return self._timeout

    def overdue(self, now: float) -> tuple[float, float]:
        call, position, since = self.marked()
        if call != self.calls[0][0]:  # it has not begun: whatever holds it is not a call of ours
            return self.heard + max(self._timeout, 30.0) - now, self._timeout
        limit = IMPORT_SECONDS if position == LOADING else self._timeout
        return since + limit - now, limit


class EpisodePool(Processes[Player]):
    """Plays episodes in ``workers`` processes. ``begin``, ``say`` and ``end`` may be called from any thread.

    Args:
        timeout: seconds of one call.
        options: keyword options of the environment.
        environment: names of variables (API keys) that workers get beside what everybody needs.
    """

    subject = "environment"
    title = "environment pool"
    error = EnvironmentFailed
    serve = "grpo_kit.environments.worker:serve"
    most_reply = MOST_REPLY

    def __init__(
        self,
        workers: int,
        memory_mb: int,
        address: Importable,
        timeout: float,
        options: Mapping[str, Any],
        environment: Sequence[str] = (),
    ) -> None:
        self.timeout = timeout
        self.replayed = 0  # calls that were made again
        # Pickled once: a worker reads it when it opens its first episode. Options it makes anew for each, which may change them.
        self._found = pickle.dumps((address, pickle.dumps(dict(options))), pickle.HIGHEST_PROTOCOL)
        self._unbound: deque[Line] = deque()
        self._cost = AHEAD_SECONDS / 8  # seconds of a call, smoothed
        self._keys, self._calls = itertools.count(1), itertools.count(1)
        super().__init__(workers, memory_mb, [address], environment)

    # --- from any thread -------------------------------------------------------------------------------------------

    def begin(
        self,
        content: bytes,
        seed: int,
        deliver: Callable[[Heard], None],
        heard: Sequence[bytes] = (),
        said: Sequence[tuple[str, str]] = (),
    ) -> Line:
        """A new episode. ``deliver`` is told the answer of every call, in the pool's thread.

        Args:
            content: the task, see `packed`.
            heard: digests of its beginning and of its answers elsewhere, which must be the same again, and are not delivered.
            said: the turns that were told there.
        """
        line = Line(next(self._keys), content, seed, deliver, [*heard], [*said])
        if line.waits:
            self._ask(lambda: self._schedule(line))
        return line

    def say(self, line: Line, text: str, raw: str) -> None:
        """Tell it a turn, at the latest with `settle`; the answer to the one before must have been delivered."""

        def told() -> None:
            line.said.append((text, raw))
            self._schedule(line)

        self._ask(told, soon=False)

    def end(self, line: Line) -> None:
        """Nothing more is wanted of it: what is under way is dropped, and it is closed, at the latest after `settle`."""
        self._ask(lambda: self._over(line), soon=self._cost >= CHEAP_SECONDS)

    def settle(self) -> None:
        """Have all that was asked done now."""
        self._ask(lambda: None)

    def statistics(self) -> Measures:
        """As `ClusterEpisodes.statistics`; of one machine there is nothing to say."""
        return Measures()

    # --- the pool's thread -----------------------------------------------------------------------------------------

    def _worker(self, number: int, channel: socket.socket, heartbeat: Any) -> Player:
        return Player(number, channel, heartbeat, self.timeout)

    def _schedule(self, line: Line) -> None:
        if line.queued or not line.waits:
            return
        line.queued = True
        (self._unbound if line.home is None else line.home.ready).append(line)

    def _over(self, line: Line) -> None:
        line.over = True
        if line.home is not None:
            line.home.lines.discard(line)
            line.home.over.append(line.key)
            line.home = None

    def _gathering(self) -> float:
        more = self._cost < CHEAP_SECONDS and any(len(worker.calls) > 1 for worker in self._workers.values())
        return GATHER_SECONDS if more else 0.0

    def _fill(self) -> None:
        workers = [worker for worker in self._workers.values() if worker.ending is None]
        for ahead in range(max(FEWEST_AHEAD, min(MOST_AHEAD, int(AHEAD_SECONDS / max(self._cost, 1e-9))))):
            if not self._unbound and not any(worker.ready for worker in workers):
                break
            for worker in workers:
                while len(worker.calls) == ahead and (worker.ready or self._unbound):
                    # those that live here first: nobody else can answer them
                    line = (worker.ready or self._unbound).popleft()
                    line.queued = False
                    if not line.over:
                        self._tell(worker, line)
        together = CLOSED_TOGETHER if self._cost < CHEAP_SECONDS else 1
        for worker in workers:
            while worker.over and (not worker.calls or len(worker.over) >= together):
                over, worker.over = worker.over[:CLOSED_TOGETHER], worker.over[CLOSED_TOGETHER:]
                self._call(worker, None, range(0), (CLOSE, over))

    def _tell(self, worker: Player, line: Line) -> None:
        """Send the next call of an episode; its first turn goes with what opens it."""
        if line.sent == 0:
            first = line.said[0] if line.said else ()
            request: Any = (OPEN, line.key, self._found, line.content, line.seed, *first)
            worker.lines.add(line)
            line.home = worker
            line.homes += 1
            made = range(2 if first else 1)
        else:
            request = (REPLY, line.key, *line.said[line.sent - 1])
            made = range(line.sent, line.sent + 1)
        self._call(worker, line, made, request)
        line.sent = made.stop
        if line.sent <= len(line.said):
            line.queued = True
            worker.ready.appendleft(line)

    def _call(self, worker: Player, line: Line | None, made: range, request: Any) -> None:
        number = next(self._calls)
        self._send(worker, number, 1, pickle.dumps(request, pickle.HIGHEST_PROTOCOL))
        worker.calls.append((number, line, made))

    def _take(self, worker: Player, message: Any) -> None:
        number, seconds, result = message
        called, line, made = worker.calls[0]
        if number != called:
            raise ValueError("an answer to nothing that was asked")
        answers = _heard(result, seconds, made)
        worker.calls.popleft()
        self._cost += 0.1 * (seconds - self._cost)
        for index, heard in zip(made, answers, strict=False):
            if line is not None and not line.over:
                self._hear(line, index, heard)

    def _hear(self, line: Line, index: int, heard: Heard) -> None:
        """The answer to a call of an episode."""
        if index < len(line.heard):
            self.replayed += line.homes > 1
            if heard.failure is not None or heard.digest != line.heard[index]:
                self._fail(line, _different(index, heard), heard.traceback)
        elif heard.failure is not None:
            self._fail(line, heard.failure, heard.traceback, heard.seconds)
        else:
            line.heard.append(heard.digest)
            line.deliver(heard)

    def _fail(self, line: Line, score: Score, traceback: str = "", seconds: float = 0.0) -> None:
        if line.over:
            return
        self._over(line)
        line.deliver(Heard(failure=score, traceback=traceback, seconds=seconds))

    def _lost(self, worker: Player, status: int | None, fault: str) -> None:
        """The call that was running pays; every other episode of the worker is played again when it is next needed."""
        marked = worker.marked()[0]
        recycled = status == RECYCLE << 8  # it had answered, with the MemoryError
        guilty = None if recycled else next((call for call in worker.calls if call[0] == marked), None)
        if worker.ending is self.broken and worker.calls:
            guilty = worker.calls[0]  # what came broken was its answer
        blind = next(iter(worker.calls), None) if guilty is None and not recycled else None  # on the way to its work
        for line in worker.lines:
            line.home, line.sent, line.queued = None, 0, False
        if guilty is not None and status is not None:
            told = self.broken if status == CHANNEL_LOST << 8 else worker.ending
            score = told or Score(status="error", reason=self.describe_death(status, fault))
            if guilty[1] is not None:
                self._fail(guilty[1], score, seconds=self.timeout if score.status == "timeout" else 0.0)
        elif (suspect := guilty or blind) is not None and suspect[1] is not None:
            self._count_death(suspect[1])
        for line in worker.lines:
            self._schedule(line)

    def _count_death(self, line: Line) -> None:
        """Nobody can be blamed: what was under way may be tried again, but not for ever."""
        line.deaths += 1
        if line.deaths >= MAX_ATTEMPTS:
            reason = f"its worker died {MAX_ATTEMPTS} times while it was played"
            self._fail(line, Score(status="error", reason=reason))


def _different(index: int, heard: Heard) -> Score:
    what = "its beginning" if index == 0 else f"its answer to turn {index}"
    how = "was another" if heard.failure is None else f"failed ({heard.failure.reason})"
    reason = (
        f"not the same episode again: told the same task, seed and turns, {what} {how}. An environment may use no randomness "
        "but its seed's, no clock and nothing that other episodes change"
    )
    return Score(status="error", reason=reason[:TEXT_LIMIT])


def _heard(result: Any, seconds: Any, made: range) -> list[Heard]:
    """Read what a worker sent: an answer to each of the calls, or to those before the one that failed.

    Raises ValueError, TypeError or KeyError for what no worker of ours sends.
    """
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or not isinstance(result, dict):
        raise ValueError("not an answer")
    begun, heard = result.pop(BEGUN, None), []
    if begun == [] and result:
        heard.append(SAID_NOTHING)
    elif begun is not None:
        heard.append(_spoken(begun, Answer(tuple(map(_message, begun))), 0.0 if result else seconds))
    if "error" in result:
        score = Score(status="error", reason=str(result["error"])[:TEXT_LIMIT])
        heard.append(Heard(failure=score, seconds=seconds, traceback=str(result["traceback"])[:TRACEBACK_LIMIT]))
    elif result:
        reward = None if result["reward"] is None else float(result["reward"])
        counts = (int(result[name]) for name in ("calls", "invalid", "failed"))
        messages = tuple(map(_message, result["messages"]))
        answer = Answer(messages, bool(result["done"]), reward, float(result["turn_reward"]), *counts)
        if not all(map(math.isfinite, (reward or 0.0, answer.turn_reward))):
            raise ValueError("not a number")
        heard.append(_spoken(result, answer, seconds))
    if (len(heard) != len(made) and "error" not in result) or (begun is not None and made.start):
        raise ValueError("not an answer to these calls")
    return heard


# The digest of the beginning of an episode that says nothing before its first turn.
SILENT = hashlib.blake2b(b"[]", digest_size=16).digest()
SAID_NOTHING = Heard(Answer(), digest=SILENT)


def _spoken(result: Any, answer: Answer, seconds: float) -> Heard:
    digest = hashlib.blake2b(repr(result).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    full = sum(len(str(value)) for message in answer.messages for value in message.values()) >= MOST_CHARACTERS
    return Heard(answer, seconds=seconds, full=full, digest=digest)


def _message(message: dict[str, Any]) -> Message:
    if not {"role", "content"} <= message.keys() <= {*KEYS} or not all(isinstance(v, str) for v in message.values()):
        raise ValueError("not a message")
    # an environment that writes into the channel may write halves of surrogate pairs
    clean = {key: value.encode("utf-8", "replace").decode() for key, value in message.items()}
    return cast(Message, clean)
