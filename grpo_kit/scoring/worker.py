"""A worker process: takes chunks of completions from a socket, scores them, sends the scores back.

Requests are pickled by the trainer. Replies are JSON, so that nothing a verifier does can make the trainer run code.
"""

from __future__ import annotations

import json
import mmap
import os
import pickle
import socket
import time
from typing import Any

from grpo_kit.types import Score
from grpo_kit.verifiers.base import Verifier
from grpo_kit.verifiers.lookup import Address

from .channel import CHANNEL_LOST, HEARTBEAT, IDLE, LENGTH, LOADING, RECYCLE, TEXT_LIMIT, Requests
from .execute import execute, failure
from .work import cases_of

# Results wait this long for company before they are sent: one system call per result would cost more than a cheap
# verifier. What is lost with a worker that dies is at most this much work, and it is done again.
FLUSH_SECONDS = 0.002
MAX_METRICS = 64


def serve(channel: socket.socket, heartbeat_fd: int) -> None:
    """Serve requests until the channel closes. Never returns."""
    heartbeat = mmap.mmap(heartbeat_fd, HEARTBEAT.size)
    replies = Replies(channel, heartbeat)
    verifiers: dict[int, Verifier] = {}
    requests = Requests(channel)
    while True:
        request = requests.next()
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
        self.chunk = IDLE
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
        HEARTBEAT.pack_into(self.heartbeat, 0, IDLE, LOADING, time.monotonic())


def _encode(position: int, score: Score, seconds: float, traceback: str) -> list[Any]:
    seconds = round(seconds, 7)
    value = float(score.value)
    if score.status == "ok" and not score.reason and not score.metrics and score.extracted is None:
        return [position, seconds, value]
    extracted = None if score.extracted is None else str(score.extracted)[:TEXT_LIMIT]
    metrics = {str(name)[:100]: float(number) for name, number in list(score.metrics.items())[:MAX_METRICS]}
    return [position, seconds, value, score.status, extracted, str(score.reason)[:TEXT_LIMIT], metrics, traceback]
