"""A node of a Ray cluster that scores: the local pool, with its deadlines and its isolation, behind a remote call."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grpo_kit.types import Score
from grpo_kit.verifiers.lookup import Address

from .places import file_here, file_text, kit_version
from .pool import Pool
from .work import Loaded, ScoringError, Work


@dataclasses.dataclass(frozen=True)
class Remote:
    """One verifier over one group, as it travels. ``text``: the file of a verifier that lives in one."""

    key: int
    label: str
    address: Address
    text: str | None
    options: dict[str, Any]
    timeout: float
    version: str
    context: Mapping[str, Any]
    responses: list[str]
    own: Sequence[Mapping[str, Any]] | None


# Scores and seconds by position, and the first traceback.
Scored = tuple[list[Score], list[float], str]


class Node:
    """What runs on a node. Calls come from several threads.

    Args:
        workers, memory_mb, environment: of its pool, as for `Pool`.
    """

    def __init__(self, workers: int, memory_mb: int, environment: Sequence[str] = ()) -> None:
        self.pool = Pool(workers, memory_mb, [], environment)
        self._folder = Path(tempfile.mkdtemp(prefix="grpo-kit-verifiers-"))
        self._loaded: dict[int, Loaded] = {}
        self._lock = threading.Lock()

    def kit_version(self) -> str:
        return kit_version()

    def score(self, remote: Remote) -> Scored:
        """Score one group with one verifier. Raises ScoringError if the pool cannot go on."""
        done = threading.Event()
        work = Work(self._find(remote), remote.context, remote.responses, remote.own, lambda _work: done.set())
        self.pool.submit([work])
        while not done.wait(0.5):
            if self.pool.failure is not None:
                raise ScoringError(f"the scoring pool failed: {self.pool.failure}")
        return [score for score in work.results if score is not None], work.seconds, work.traceback

    def _find(self, remote: Remote) -> Loaded:
        with self._lock:
            if remote.key not in self._loaded:
                address = self._here(remote.address, remote.text)
                found = address.resolve()
                if found.version != remote.version:
                    raise ScoringError(
                        f"verifier {remote.label} is of version {found.version} on this node and {remote.version} where the "
                        "run was started: install the same on every node"
                    )
                found = found.with_options(remote.options) if remote.options else found
                found = dataclasses.replace(found, timeout=remote.timeout)
                self._loaded[remote.key] = Loaded(remote.key, remote.label, found, 1.0, address)
                self.pool.preload(address)
            return self._loaded[remote.key]

    def _here(self, address: Address, text: str | None) -> Address:
        if text is None:
            return address
        here = file_here(address.source, text, self._folder / f"{len(self._loaded)}")
        return dataclasses.replace(address, source=here)

    def close(self) -> None:
        self.pool.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def remote_of(work: Work, texts: dict[int, str | None]) -> Remote:
    loaded = work.loaded
    assert loaded.address is not None
    if loaded.key not in texts:
        texts[loaded.key] = file_text(loaded.address.source)
    verifier = loaded.verifier
    return Remote(
        loaded.key,
        loaded.label,
        loaded.address,
        texts[loaded.key],
        dict(verifier.options),
        verifier.timeout,
        verifier.version,
        work.context,
        work.responses,
        work.own,
    )


def deliver(work: Work, scored: Scored) -> None:
    scores, seconds, traceback = scored
    for position, (score, taken) in enumerate(zip(scores, seconds, strict=True)):
        work.deliver(position, score, taken, traceback)


def fail(works: Sequence[Work], reason: str) -> None:
    """Every completion that has no score yet gets an error: never a zero."""
    for work in works:
        for position in range(len(work.responses)):
            work.deliver(position, Score(status="error", reason=reason))
