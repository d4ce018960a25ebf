"""A node of a Ray cluster that plays episodes: the local pool, with its deadlines and its isolation, behind remote calls."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from grpo_kit.scoring.places import kit_version

from .lookup import Address
from .players import Wanted
from .pool import EnvironmentFailed, EpisodePool, Heard, Line

POLL_SECONDS = 5.0  # that one call waits for something to be heard
WAKE_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Begin:
    """An episode, with what was heard and said of it elsewhere. See `EpisodePool.begin`."""

    key: int
    content: bytes
    seed: int
    heard: tuple[bytes, ...]
    said: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Say:
    """The next turn of an episode that lives here."""

    key: int
    text: str
    raw: str


@dataclasses.dataclass(frozen=True)
class End:
    """Nothing more is wanted of it."""

    key: int


@dataclasses.dataclass(frozen=True)
class News:
    """What a node heard since it was last asked, by the keys of the episodes, and what it counted in all."""

    heard: Sequence[tuple[int, Heard]]
    replaced: int
    replayed: int


class EpisodeNode:
    """What runs on a node. Calls come from several threads; those of `tell` one after the other."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="grpo-kit-environments-"))
        self._pool: EpisodePool | None = None
        self._lines: dict[int, Line] = {}
        self._came: list[tuple[int, Heard]] = []
        self._some = threading.Condition()

    def kit_version(self) -> str:
        return kit_version()

    def start(self, wanted: Wanted, version: str, texts: Mapping[str, str]) -> None:
        """Start its processes.

        Args:
            version: of the environment where the run was started.
            texts: of files of the user's, by their paths there.

        Raises:
            EnvironmentFailed: it cannot be loaded here, or is another one.
        """
        if isinstance(wanted.address, Address):
            wanted = dataclasses.replace(wanted, address=wanted.address.here(texts, self._folder))
        found = wanted.address.resolve()
        if found.version != version:
            raise EnvironmentFailed(
                f"environment {wanted.address.name} is of version {found.version} on this node and {version} where the run was "
                "started: install the same on every node"
            )
        self._pool = wanted.open()

    def tell(self, said: Sequence[Begin | Say | End]) -> None:
        """Take what is said to episodes, in this order; returns at once."""
        assert self._pool is not None
        for each in said:
            if isinstance(each, Begin):
                deliver = partial(self._put, each.key)
                self._lines[each.key] = self._pool.begin(each.content, each.seed, deliver, each.heard, each.said)
            elif isinstance(each, Say):
                self._pool.say(self._lines[each.key], each.text, each.raw)
            else:
                self._pool.end(self._lines.pop(each.key))
        self._pool.settle()

    def _put(self, key: int, heard: Heard) -> None:
        with self._some:
            self._came.append((key, heard))
            self._some.notify()

    def hear(self) -> News:
        """What came since the last call; waits a while for the first of it. Raises EnvironmentFailed if none can come."""
        assert self._pool is not None
        waited = 0.0
        with self._some:
            while not self._came and waited < POLL_SECONDS:
                if self._pool.failure is not None:
                    raise EnvironmentFailed(f"the environment pool failed: {self._pool.failure}")
                self._some.wait(WAKE_SECONDS)
                waited += WAKE_SECONDS
            came, self._came = self._came, []
        return News(came, self._pool.replaced, self._pool.replayed)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
        shutil.rmtree(self._folder, ignore_errors=True)
