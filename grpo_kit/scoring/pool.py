"""The scoring pool: feeds chunks of completions to worker processes and decides who pays for a worker that died."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Sequence
from typing import Any

from grpo_kit.observe.measure import Measures
from grpo_kit.types import Score

from .channel import CHANNEL_LOST, RECYCLE, TEXT_LIMIT, WAITING
from .chunks import Chunk, Queue
from .handle import Worker
from .processes import Importable, Processes
from .work import ScoringError, Work

# Two chunks per worker: the second waits in the worker's socket while the trainer's thread holds the interpreter.
CHUNKS_AHEAD = 2


class Pool(Processes[Worker]):
    """Scores `Work` in ``workers`` processes. ``submit`` and ``cancel`` may be called from any thread."""

    error = ScoringError
    serve = "grpo_kit.scoring.worker:serve"

    def __init__(
        self, workers: int, memory_mb: int, addresses: Sequence[Importable], environment: Sequence[str] = ()
    ) -> None:
        self._queue = Queue()
        super().__init__(workers, memory_mb, addresses, environment)

    def submit(self, works: Sequence[Work]) -> None:
        self._ask(lambda: self._queue.extend(works))

    def statistics(self) -> Measures:
        """As `ClusterPool.statistics`; of one machine there is nothing to say."""
        return Measures()

    def _worker(self, number: int, channel: socket.socket, heartbeat: Any) -> Worker:
        return Worker(number, channel, heartbeat)

    def _fill(self) -> None:
        """Give every worker something to do, the least busy first."""
        for ahead in range(CHUNKS_AHEAD):
            for worker in list(self._workers.values()):
                # again when a chunk could not be sent: the queue would not be looked at before the next event
                while self._queue and len(worker.chunks) == ahead and worker.ending is None:
                    chunk = self._queue.take(self.size)
                    if chunk is None:
                        return
                    self._give(worker, chunk)

    def _give(self, worker: Worker, chunk: Chunk) -> None:
        try:
            payload = pickle.dumps(chunk.request(), pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # whatever a user's own class raises
            if len(chunk.items) > 1:  # find out which one
                chunk.count_attempts(WAITING)
                self._queue.give_back(chunk)
                return
            reason = f"the task's answer or meta cannot be sent to a worker: {type(error).__name__}: {error}"
            chunk.blame(WAITING, Score(status="error", reason=reason[:TEXT_LIMIT]))
            self._queue.learn(chunk)
            return
        self._send(worker, chunk.id, len(chunk.items), payload)
        worker.chunks.append(chunk)

    def _take(self, worker: Worker, message: Any) -> None:
        number, results = message
        chunk = next(chunk for chunk in worker.chunks if chunk.id == number)
        for result in results:
            chunk.deliver(result)
        if chunk.done:
            worker.chunks.remove(chunk)
            self._queue.learn(chunk)

    def _lost(self, worker: Worker, status: int | None, fault: str) -> None:
        """Give a dead worker's current completion its score, and everything else back to the queue."""
        chunk_id, position, _ = worker.marked()
        if worker.ending is self.broken and worker.chunks:
            # By the time it was noticed the worker may have gone on; what came broken were the results of the first.
            chunk_id = worker.chunks[0].id
        if status != RECYCLE << 8 and worker.chunks and all(chunk.id != chunk_id for chunk in worker.chunks):
            worker.chunks[0].count_attempts(WAITING)  # it died on the way to its work
        for chunk in reversed(worker.chunks):
            if chunk.id == chunk_id and status != RECYCLE << 8:
                self._charge(chunk, position, worker, status, fault)
            self._queue.give_back(chunk)

    def _charge(self, chunk: Chunk, position: int, worker: Worker, status: int | None, fault: str) -> None:
        """Decide whose fault the death of a worker was."""
        if status is None:
            chunk.count_attempts(position)
            return
        score = worker.ending or Score(status="error", reason=self.describe_death(status, fault))
        if worker.ending is self.broken or status == CHANNEL_LOST << 8:
            # Noticed only when results are sent, which may be calls after the one that did it: each is tried alone.
            if len(chunk.items) > 1:
                chunk.count_attempts(WAITING)
                return
            position, score = 0, self.broken
        chunk.blame(position, score)
