"""Verifiers for the scoring tests; worker processes load this file by its path."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

from grpo_kit.verifiers import Score, verifier

HOARD = []


def equal(response, answer):
    return response == answer


def heard(response, messages):
    """How many messages stand before the response, and what they are."""
    said = " / ".join(f"{m['role']} {m['content']}" for m in messages)
    return {"score": len(messages), "reason": f"{said} -> {response}"}


def obey(response, answer):
    """Does what the response says."""
    word, _, rest = response.partition(" ")
    if word == "raise":
        raise ValueError("boom")
    if word == "hang":
        while True:
            pass
    if word == "sleep":
        time.sleep(float(rest))
    if word == "exit":
        os._exit(3)
    if word == "sysexit":
        sys.exit(4)
    if word == "segfault":
        ctypes.string_at(0)
    if word == "memory":
        HOARD.append(bytearray(8 << 30))
    if word == "hoard":
        HOARD.append(bytearray(b"x" * (40 << 20)))
    if word == "flood":
        for _ in range(50):
            print("x" * 1_000_000)
            print("y" * 1_000_000, file=sys.stderr)
            os.write(1, b"z" * 1_000_000)
    if word == "orphan":
        subprocess.Popen(["sleep", rest], start_new_session=True)
        os._exit(5)
    if word == "fork":
        os.fork()
    if word == "thread":
        threading.Thread(target=time.sleep, args=(float(rest),)).start()
    if word == "file":
        import tempfile

        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write("left behind")
        os._exit(6)
    if word == "close":
        os.closerange(3, 256)
    if word == "write":
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, b"\xff" * 64)
            except OSError:
                continue
    if word == "nan":
        return float("nan")
    if word == "string":
        return "yes"
    if word == "none":
        return None
    if word == "reason":
        return Score(0.5, extracted="e" * 10**7, reason="r" * 10**7)
    if word == "asyncio":
        return asyncio.run(_later(0.25))
    if word == "kill-parent":
        os.kill(os.getppid(), 9)
        time.sleep(60)
    return word == answer


async def _later(value):
    await asyncio.sleep(0.001)
    return value


async def patient(response, answer):
    """Async: sleeps, raises, blocks or ignores its cancellation, as the response says."""
    word, _, rest = response.partition(" ")
    if word == "raise":
        raise ValueError("boom")
    if word == "block":
        time.sleep(60)
    if word == "exit":
        os._exit(3)
    if word == "stubborn":
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue
    await asyncio.sleep(float(rest or 0))
    return word == answer


def identify(response):
    return {"score": 1.0, "torch": "torch" in sys.modules, "pid": os.getpid()}


@verifier(name="scoring_tests_batch", batch=True, timeout=2.0)
def batch(response, answer):
    for word in response:
        if word in ("raise", "hang", "exit", "sysexit", "segfault"):
            obey(word, "")
    if "short" in response:
        return [1.0]
    return [word == gold for word, gold in zip(response, answer, strict=True)]


@verifier(name="scoring_tests_group", group=True, timeout=2.0)
def whole_group(response, answer):
    if "exit" in response:
        os._exit(3)
    return [float(len(set(response)))] * len(response)


def signalled(response):
    """As if the run were stopped while this response is scored."""
    if response == "stop":
        os.kill(os.getpid(), signal.SIGTERM)
    return 1.0


@verifier(name="signalled_batch", batch=True)
def signalled_batch(response):
    return [signalled(text) for text in response]


@verifier(name="signalled_async")
async def signalled_async(response):
    return signalled(response)
