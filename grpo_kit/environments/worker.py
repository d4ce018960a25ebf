"""A worker process that plays episodes: opens them, passes them the policy's turns, sends back what they answer.

Requests are pickled by the trainer. Answers are JSON, so that nothing an environment does can make the trainer run code.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import pickle
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from grpo_kit.scoring.channel import CHANNEL_LOST, HEARTBEAT, IDLE, LENGTH, LOADING, RECYCLE, Requests
from grpo_kit.scoring.execute import failure
from grpo_kit.types import plain_number

from .base import Answer, Environment, Episode

OPEN, REPLY, CLOSE = "open", "reply", "close"
BEGUN = "begun"  # the key of the messages that an episode begins with
RUNNING = 0  # position of a heartbeat: the environment's own code has the process
MOST_CHARACTERS = 2**18  # of an answer's messages together: far more than fit into any episode
MOST_MESSAGES = 64
LARGEST_REWARD = 1e30  # of one answer: those of an episode add up, and their sum and its square must be finite too
KEYS = ("role", "content", "name", "tool_call_id")


def serve(channel: socket.socket, heartbeat_fd: int) -> None:
    """Serve requests until the channel closes. Never returns."""
    heartbeat = mmap.mmap(heartbeat_fd, HEARTBEAT.size)
    stage, requests, own = Stage(), Requests(channel), os.getpid()
    while True:
        request = requests.next()
        if request is None:
            os._exit(CHANNEL_LOST)
        call, _, payload = request
        _mark(heartbeat, call, LOADING)
        result, seconds, fit = stage.call(payload, partial(_mark, heartbeat, call, RUNNING))
        if os.getpid() != own:
            os._exit(0)  # an environment forked and let the child return: only the worker itself may answer
        answer = json.dumps([call, round(seconds, 7), result]).encode()
        try:
            channel.sendall(LENGTH.pack(len(answer)) + answer)
        except OSError:
            os._exit(CHANNEL_LOST)
        _mark(heartbeat, IDLE, LOADING)
        if not fit:
            os._exit(RECYCLE)


def _mark(heartbeat: mmap.mmap, call: int, position: int) -> None:
    HEARTBEAT.pack_into(heartbeat, 0, call, position, time.monotonic())


class Stage:
    """The episodes that live in this process."""

    def __init__(self) -> None:
        self.episodes: dict[int, Episode] = {}
        self.environment: Environment | None = None
        self.options = b""

    def call(self, payload: memoryview, begins: Callable[[], None]) -> tuple[dict[str, Any], float, bool]:
        """What a request is answered with, the seconds that the environment took, and whether the process is fit for more.

        A request to open an episode may hold the first turn, and one to close holds all that are to be closed.
        """
        started, result = time.perf_counter(), dict[str, Any]()
        try:
            kind, key, *rest = pickle.loads(payload)
            if kind == CLOSE:
                self._close(key, begins)
                return result, time.perf_counter() - started, True
            if kind == OPEN:
                found, content, seed, *rest = rest
                if self.environment is None:
                    address, self.options = pickle.loads(found)
                    self.environment = address.resolve()
                task = pickle.loads(content)
                begins()
                started = time.perf_counter()
                self.episodes[key] = self.environment.open(task, seed, pickle.loads(self.options))
                result[BEGUN] = plain_messages(self.episodes[key].begin())
            if rest:
                begins()
                started = time.perf_counter()
                result |= encode(self.episodes[key].reply(*rest))
        except BaseException as error:
            score, trace = failure(error)
            fit = not isinstance(error, MemoryError)  # what filled the memory may still be referenced
            result |= {"error": score.reason, "traceback": trace}
            return result, time.perf_counter() - started, fit
        return result, time.perf_counter() - started, True

    def _close(self, keys: Sequence[int], begins: Callable[[], None]) -> None:
        """One that fails keeps none of the others open."""
        with ExitStack() as stack:
            for key in keys:
                if (episode := self.episodes.pop(key, None)) is not None:  # it may never have been opened
                    stack.callback(episode.close)
                    stack.callback(begins)


def encode(answer: Any) -> dict[str, Any]:
    """An answer as JSON holds it. Raises TypeError or ValueError for what is none."""
    if not isinstance(answer, Answer):
        raise TypeError(f"an episode's reply must return an Answer; got {type(answer).__name__}: {answer!r:.200}")
    counts = {name: getattr(answer, name) for name in ("calls", "invalid", "failed")}
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ValueError(f"Answer.{name} must be a count, got {count!r:.100}")
    done = bool(answer.done)
    messages = [] if done else plain_messages(answer.messages)
    if not done and not messages:
        raise ValueError("an episode that is not over must answer with a message")
    reward = None if answer.reward is None else _number("reward", answer.reward)
    return {"messages": messages, "done": done, "reward": reward, **counts} | {
        "turn_reward": _number("turn_reward", answer.turn_reward)
    }


def _number(name: str, value: Any) -> float:
    value = plain_number(value)
    if not isinstance(value, (bool, int, float)) or not math.isfinite(value) or abs(value) > LARGEST_REWARD:
        raise ValueError(f"Answer.{name} must be a number of at most {LARGEST_REWARD:g}, got {value!r:.100}")
    return float(value)


def plain_messages(messages: Any) -> list[dict[str, str]]:
    """Messages with plain text alone. What is longer than any episode has room for is cut, which the trainer sees."""
    if messages is None:
        return []
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence):
        raise TypeError(f"messages are a list of them; got {type(messages).__name__}: {messages!r:.200}")
    if len(messages) > MOST_MESSAGES:
        raise ValueError(f"{len(messages)} messages in one answer; there may be {MOST_MESSAGES}")
    left, made = MOST_CHARACTERS, []
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") not in ("user", "tool"):
            raise ValueError(f"a message is an object with content and the role user or tool; got {message!r:.200}")
        kept = {}
        for key in KEYS:
            value = message.get(key)
            if value is None and key != "content":
                continue
            if not isinstance(value, str):
                raise TypeError(f"the {key} of a message is text; got {type(value).__name__}: {value!r:.200}")
            kept[key] = str(value)[:left].encode("utf-8", "replace").decode()  # no half of a surrogate pair
            left -= len(kept[key])
        made.append(kept)
    return made
