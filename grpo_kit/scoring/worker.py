"""A worker process: takes chunks of completions from a socket, scores them, sends the scores back.

Requests are pickled by the trainer. Replies are JSON, so that nothing a verifier does can make the trainer run code.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import pickle
import resource
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from grpo_kit.types import Score
from grpo_kit.verifiers.base import Verifier
from grpo_kit.verifiers.lookup import Address

from .execute import execute, failure
from .work import CHANNEL_LOST, HEARTBEAT, IDLE_CHUNK, LENGTH, LOADING, RECYCLE, REQUEST, TEXT_LIMIT, cases_of

# Results wait this long for company before they are sent: one system call per result would cost more than a cheap
# verifier. What is lost with a worker that dies is at most this much work, and it is done again.
FLUSH_SECONDS = 0.002
MAX_METRICS = 64


def run(channel: socket.socket, heartbeat_fd: int, folder: Path, memory_mb: int) -> None:
    """Serve requests until the channel closes. Never returns."""
    _confine(folder, memory_mb)
    heartbeat = mmap.mmap(heartbeat_fd, HEARTBEAT.size)
    replies = Replies(channel, heartbeat)
    verifiers: dict[int, Verifier] = {}
    while True:
        request = _receive(channel)
        if request is None:
            os._exit(CHANNEL_LOST)
        chunk, count, payload = request
        replies.begin(chunk)
        try:
            (key, address, options), segments = pickle.loads(payload)
            if key not in verifiers:
                verifiers[key] = _load(address, options)
        except BaseException as error:
            score, trace = failure(error)
            for position in range(count):
                replies.emit(position, score, 0.0, trace)
            fit = True
        else:
            fit = _score(verifiers[key], segments, replies)
        replies.end()
        if not fit:
            os._exit(RECYCLE)


def _score(verifier: Verifier, segments: list[tuple[bytes, int]], replies: Replies) -> bool:
    """Answer a chunk; a task that cannot be made in this process fails alone. Returns whether the process is fit."""
    cases: list[dict[str, Any]] = []
    places: list[int] = []  # of each case in the chunk
    at = 0
    for content, count in segments:
        try:
            cases += cases_of(*pickle.loads(content))
            places += range(at, at + count)
        except BaseException as error:
            score, trace = failure(error)
            for position in range(at, at + count):
                replies.emit(position, score, 0.0, trace)
        at += count
    if not cases:
        return True
    return execute(
        verifier,
        cases,
        lambda position, *result: replies.emit(places[position], *result),
        lambda position: replies.mark(places[position] if position >= 0 else position),
    )


def _load(address: Address, options: tuple[dict[str, Any], float]) -> Verifier:
    import dataclasses

    bound, timeout = options
    found = address.resolve()
    return dataclasses.replace(found.with_options(bound) if bound else found, timeout=timeout)


class Replies:
    """Collects results and sends them in as few messages as promptness allows."""

    def __init__(self, channel: socket.socket, heartbeat: mmap.mmap) -> None:
        self.channel = channel
        self.heartbeat = heartbeat
        self.pid = os.getpid()
        self.chunk = IDLE_CHUNK
        self.waiting: list[list[Any]] = []
        self.flushed = 0.0

    def begin(self, chunk: int) -> None:
        self.chunk = chunk
        self.flushed = time.monotonic()
        self.mark(LOADING)

    def mark(self, position: int) -> None:
        HEARTBEAT.pack_into(self.heartbeat, 0, self.chunk, position, time.monotonic())

    def emit(self, position: int, score: Score, seconds: float, traceback: str) -> None:
        if os.getpid() != self.pid:
            os._exit(0)  # a verifier forked and let the child return: only the worker itself may answer
        self.waiting.append(_encode(position, score, seconds, traceback))
        if time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        if not self.waiting:
            return
        payload = json.dumps([self.chunk, self.waiting]).encode()
        self.waiting = []
        try:
            self.channel.sendall(LENGTH.pack(len(payload)) + payload)
        except OSError:
            os._exit(CHANNEL_LOST)
        self.flushed = time.monotonic()

    def end(self) -> None:
        self.flush()
        HEARTBEAT.pack_into(self.heartbeat, 0, IDLE_CHUNK, LOADING, time.monotonic())


def _encode(position: int, score: Score, seconds: float, traceback: str) -> list[Any]:
    seconds = round(seconds, 7)
    value = float(score.value)
    if score.status == "ok" and not score.reason and not score.metrics and score.extracted is None:
        return [position, seconds, value]
    extracted = None if score.extracted is None else str(score.extracted)[:TEXT_LIMIT]
    metrics = {str(name)[:100]: float(number) for name, number in list(score.metrics.items())[:MAX_METRICS]}
    return [position, seconds, value, score.status, extracted, str(score.reason)[:TEXT_LIMIT], metrics, traceback]


def _receive(channel: socket.socket) -> tuple[int, int, bytearray] | None:
    """Chunk id, number of completions and pickled rest of the next request; None when the channel is closed."""
    try:
        header = receive_exactly(channel, REQUEST.size)
        if header is None:
            return None
        length, chunk, count = REQUEST.unpack(header)
        payload = receive_exactly(channel, length)
    except OSError:
        return None
    return None if payload is None else (chunk, count, payload)


def receive_exactly(channel: socket.socket, size: int) -> bytearray | None:
    buffer = bytearray(size)
    view, filled = memoryview(buffer), 0
    while filled < size:
        got = channel.recv_into(view[filled:])
        if got == 0:
            return None
        filled += got
    return buffer


def _confine(folder: Path, memory_mb: int) -> None:
    """Give the process its own session, temporary folder and memory limit, and no output."""
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    folder.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    faulthandler.enable((folder.parent / f"{folder.name}.fault").open("w"))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    sys.stdout = open(1, "w", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="replace", closefd=False)  # noqa: SIM115
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_mb and sys.platform == "linux":
        # On top of what the imports took; RLIMIT_DATA counts private writable memory, so libraries that only reserve
        # address space are not punished as they would be by RLIMIT_AS.
        limit = _private_bytes() + memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")  # if memory ends, a worker goes before the trainer
    except OSError:  # not Linux
        return


def _private_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
