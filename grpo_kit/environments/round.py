"""A round of episodes: who answers the turns of one call of the generator, and says when an episode is over, and why.

What fails here fails one episode: it abstains, with the reason, and is never a reward of zero.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.data.bridge import Bridge
from grpo_kit.errors import UserError
from grpo_kit.generate.base import Reply, SampledTurn
from grpo_kit.types import Ending, Message, Score, Task, Turn

from .players import Players, Told
from .pool import EnvironmentFailed, Heard
from .tally import Tally

WAKE_SECONDS = 0.5  # how often somebody who waits looks whether the pool still lives
Key = tuple[str, int]  # task and sample


@dataclass(frozen=True)
class Rules:
    """What all rounds of a run share.

    Attributes:
        bridge_lock: a tokenizer is used by one thread at a time.
        turns: of an episode at most.
    """

    pool: Players
    bridge: Bridge
    settings: EnvironmentConfig
    turns: int
    tally: Tally
    bridge_lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task whose episodes have a prompt.

    Attributes:
        task: as it was, without what episodes begin with.
        seed: of each of its episodes: all samples of a group are given the same one.
        content: as it travels to a worker.
        digest: of what they begin with.
        failure: why they cannot begin.
        opening: the messages of the prompt. length: its tokens.
    """

    task: Task
    seed: int
    content: bytes = b""
    digest: bytes = b""
    failure: Score | None = None
    opening: tuple[Message, ...] = ()
    length: int = 0


@dataclass(eq=False, slots=True)
class Played:
    """An episode of a round. at: the turn that has no reply yet. written: turns with special tokens. invalid: calls in a row."""

    at: SampledTurn
    line: Told | None = None
    turns: list[Turn] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    sampled: int = 0
    inserted: int = 0
    invalid: int = 0
    seconds: float = 0.0


class Inbox:
    """What the pool's thread has heard, for somebody who waits for it."""

    def __init__(self, pool: Players) -> None:
        self._pool = pool
        self._came: deque[tuple[Any, Heard]] = deque()
        self._some = threading.Condition()
        self.told: Callable[[], None] = lambda: None  # is called, in the pool's thread, whenever something has come

    def put(self, key: Any, heard: Heard) -> None:
        with self._some:
            self._came.append((key, heard))
            self._some.notify()
        self.told()

    def take(self, wait: bool) -> list[tuple[Any, Heard]]:
        """What came since the last call. Raises EnvironmentFailed where nothing can come any more."""
        with self._some:
            while wait and not self._came:
                if self._pool.failure is not None:
                    raise EnvironmentFailed(
                        f"the environment pool failed: {self._pool.failure}"
                    ) from self._pool.failure
                self._some.wait(WAKE_SECONDS)
            came = list(self._came)
            self._came.clear()
        return came


class Round:
    """Answers the turns of one call of the generator (see `generate.base.Replies`).

    Its episodes are its own: the same task and sample may be played in another round at the same time.
    """

    def __init__(self, rules: Rules, tasks: Mapping[str, Prepared]) -> None:
        self._rules, self._tasks = rules, tasks
        self._played: dict[Key, Played] = {}
        self._inbox = Inbox(rules.pool)
        self._replies: list[Reply] = []
        self._waiting = 0  # turns that the workers have
        self._said = False  # something was, and the pool does not know
        self._ended: Counter[str] = Counter()
        self._closed = False

    # --- what the generator asks -----------------------------------------------------------------------------------

    def submit(self, turn: SampledTurn) -> None:
        """See `Replies.submit`."""
        if self._closed:
            raise ValueError("this round is closed")
        key, prepared = (turn.task_id, turn.sample_index), self._tasks[turn.task_id]
        played = self._played.setdefault(key, Played(turn))
        played.at = turn
        if prepared.failure is not None:  # before all else: a cut turn is paid 0, and this is not its fault
            self._end(key, "error", prepared.failure)
            return
        if turn.finish_reason == "length":  # what was cut is never answered
            self._end(key, "length")
            return
        pool, bridge = self._rules.pool, self._rules.bridge
        if played.line is None:
            deliver = partial(self._inbox.put, key)
            played.line = pool.begin(prepared.content, prepared.seed, deliver, [prepared.digest])
        with self._rules.bridge_lock:
            raw = bridge.raw(turn.token_ids, turn.text)
        self._waiting += 1
        self._said = True
        played.written.append(raw)
        pool.say(played.line, turn.text, raw)

    def watch(self, told: Callable[[], None]) -> None:
        """See `Replies.watch`."""
        self._inbox.told = told

    def take(self, wait: bool) -> list[Reply]:
        """See `Replies.take`."""
        if self._said:  # together: the turns of a batch end together
            self._said = False
            self._rules.pool.settle()
        for key, heard in self._inbox.take(wait and not self._replies and self._waiting > 0):
            self._waiting -= 1
            self._read(key, heard)
        replies, self._replies = self._replies, []
        return replies

    def close(self) -> None:
        """Close every episode that is still open: of a generation that was stopped, or failed."""
        if self._closed:
            return
        self._closed = True
        for played in self._played.values():
            self._close(played)
        self._played.clear()
        self._rules.pool.settle()
        self._rules.tally.round_ended(self._ended["failed"], sum(self._ended.values()))

    def __enter__(self) -> Round:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what an answer means --------------------------------------------------------------------------------------

    def _read(self, key: Key, heard: Heard) -> None:
        played, rules, answer = self._played[key], self._rules, heard.answer
        turn = played.at
        rules.tally.call(heard, self._tasks[turn.task_id].task, turn.text)
        played.seconds += heard.seconds
        if answer is None:
            self._end(key, "error", heard.failure, heard)
            return
        understood = answer.calls > answer.invalid or not answer.invalid
        played.invalid = 0 if understood else played.invalid + answer.invalid
        if answer.done:
            self._end(key, "done", None if answer.reward is None else Score(answer.reward), heard)
        elif played.seconds > rules.settings.episode_seconds:
            reason = (
                f"calls took {played.seconds:.1f} s; environment.episode_seconds is {rules.settings.episode_seconds:g}"
            )
            self._end(key, "deadline", Score(status="timeout", reason=reason), heard)
        elif played.invalid >= rules.settings.max_invalid:
            self._end(key, "invalid", None, heard)
        elif len(played.turns) + 1 >= rules.turns:
            self._end(key, "turns", None, heard)
        elif turn.tokens_left <= 0:
            self._end(key, "length", None, heard)
        else:
            self._go_on(key, heard)

    def _go_on(self, key: Key, heard: Heard) -> None:
        played, rules, answer = self._played[key], self._rules, heard.answer
        assert answer is not None
        if heard.full:
            self._end(key, "room", None, heard)
            return
        try:
            with rules.bridge_lock:
                messages = rules.bridge.read(answer.messages)
                inserted = self._next(key, messages, answer.calls)
        except (UserError, ValueError) as error:
            failure = Score(status="error", reason=str(error))
            rules.tally.failure(Heard(failure=failure), self._tasks[key[0]].task, played.at.text)
            self._end(key, "error", failure, heard)
            return
        # A prompt of its own holds what was written and inserted before as well.
        before = self._tasks[key[0]].length + played.sampled + len(played.at.token_ids)
        told = len(inserted) - before if rules.settings.fresh else played.inserted + len(inserted)
        if told > rules.settings.max_inserted:
            self._end(key, "room", None, heard)
            return
        self._keep(played, heard, messages)
        played.inserted = told
        self._replies.append(Reply(*key, inserted))

    def _next(self, key: Key, messages: tuple[Message, ...], calls: int) -> list[int]:
        """What stands between the turn, which made so many calls, and the next one, or the next one's whole prompt."""
        played, bridge = self._played[key], self._rules.bridge
        if not self._rules.settings.fresh:
            return bridge.answered(played.at.token_ids, messages)
        said = [*self._tasks[key[0]].opening]
        told = [(turn.text, turn.calls, turn.replies) for turn in played.turns] + [(played.at.text, calls, messages)]
        for raw, (text, called, replies) in zip(played.written, told, strict=True):
            # A call as it was written: special tokens may be a part of it.
            said += [Message(role="assistant", content=raw if called else text), *replies]
        return [*bridge.prompt(Task(key[0], tuple(said), None)).token_ids]

    def _keep(self, played: Played, heard: Heard, messages: tuple[Message, ...]) -> None:
        turn, answer = played.at, heard.answer
        counts = (0.0, 0, 0, 0) if answer is None else (answer.turn_reward, answer.calls, answer.invalid, answer.failed)
        played.turns.append(Turn(played.sampled, turn.text, messages, *counts, heard.seconds))
        played.sampled += len(turn.token_ids)

    def _end(self, key: Key, ending: Ending, outcome: Score | None = None, heard: Heard | None = None) -> None:
        played = self._played.pop(key)
        self._keep(played, heard or Heard(), ())
        self._close(played)
        self._ended["failed" if outcome is not None and not outcome.counts else "played"] += 1
        self._replies.append(Reply(*key, None, tuple(played.turns), ending, outcome))

    def _close(self, played: Played) -> None:
        if played.line is not None:
            self._rules.pool.end(played.line)
