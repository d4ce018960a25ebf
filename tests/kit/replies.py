"""Who answers turns in tests of engines: replies that are a function of the turn, whenever they come."""

from __future__ import annotations

import queue
import random
import threading
import time

from grpo_kit.generate.base import Reply, SampledTurn
from grpo_kit.types import Score, Turn
from tests.kit.patience import HANGS


class Scripted:
    """Replies as `generate.base.Replies` has them, made by ``script``.

    Args:
        script: of a turn, the ids that come next, or None where the episode is over. An episode that has no token left is over.
        late: how many calls of `take` a reply may wait for, drawn for each.
    """

    def __init__(self, script, late=0):
        self.script, self.late = script, late
        self.random = random.Random(0)
        self.turns = []
        self.told = {}  # by episode: the turns so far
        self.ready = []
        self.waits = 0
        self.come = lambda: None

    def watch(self, told):
        self.come = told

    def answer(self, turn: SampledTurn) -> Reply:
        told = self.told.setdefault((turn.task_id, turn.sample_index), [])
        told.append(Turn(told[-1].start + len(self.last(turn)) if told else 0, turn.text))
        self.turns.append(turn)
        inserted = self.script(turn) if turn.tokens_left else None
        if inserted is not None:
            return Reply(turn.task_id, turn.sample_index, inserted)
        outcome = Score(float(turn.turn))
        return Reply(turn.task_id, turn.sample_index, None, tuple(told), "done", outcome)

    def last(self, turn):
        same = [t for t in self.turns if (t.task_id, t.sample_index) == (turn.task_id, turn.sample_index)]
        return same[-1].token_ids

    def submit(self, turn):
        self.ready.append((self.random.randint(0, self.late), self.answer(turn)))

    def take(self, wait):
        self.waits += wait
        while True:
            taken = [reply for left, reply in self.ready if left == 0]
            self.ready = [(left - 1, reply) for left, reply in self.ready if left]
            if taken or not wait or not self.ready:
                if self.ready:
                    self.come()
                return taken


class Threaded(Scripted):
    """Every reply is made in a thread of its own that takes its time."""

    def __init__(self, script, seconds=0.02, seed=0):
        super().__init__(script)
        self.seconds, self.random = seconds, random.Random(seed)
        self.found: queue.Queue[Reply] = queue.Queue()

    def submit(self, turn):
        delay, reply = self.random.choice((0.0, self.random.uniform(0.0, self.seconds))), self.answer(turn)
        threading.Thread(target=lambda: (time.sleep(delay), self.found.put(reply), self.come()), daemon=True).start()

    def take(self, wait):
        self.waits += wait
        taken = [self.found.get(timeout=HANGS)] if wait else []
        while not self.found.empty():
            taken.append(self.found.get_nowait())
        return taken


def random_script(turns=6, longest=20, first_id=30, last_id=200, seed=0):
    """Episodes of 1 to ``turns`` turns with 1 to ``longest`` inserted ids: a function of task, sample and turn."""

    def script(turn):
        draw = random.Random(f"{seed} {turn.task_id} {turn.sample_index}")
        if turn.turn + 1 >= draw.randint(1, turns):
            return None
        draw = random.Random(f"{seed} {turn.task_id} {turn.sample_index} {turn.turn}")
        return [draw.randint(first_id, last_id) for _ in range(draw.randint(1, longest))]

    return script


def one_turn(turn):
    return None


def interleaved(prompt, completion):
    """The whole sequence of an episode, and where in it the sampled tokens stand."""
    ids, places, inserted = list(prompt.token_ids), [], dict(completion.inserted)
    for index, token in enumerate(completion.token_ids):
        ids += inserted.get(index, [])
        places.append(len(ids))
        ids.append(token)
    return ids, places
