"""Verifiers for runs under stress."""

import ctypes
import os
import time

from grpo_kit.verifiers import verifier


@verifier(name="stress_odd", timeout=5.0)
def odd(response: str) -> float:
    """Half of all texts are right, whatever they say: an untrained model has something to learn."""
    return float(sum(map(ord, response)) % 2)


KINDS = ("raise", "nan", "hang", "segfault", "exit", "memory")


def harm(response: str) -> str | None:
    """What a response makes the chaotic verifier do: a share of all texts, decided by the text alone."""
    number = sum(map(ord, response)) % 97
    return KINDS[number] if number < len(KINDS) else None


@verifier(name="chaotic", timeout=0.3)
def chaotic(response: str) -> float:
    """`odd`, but some texts make it crash, hang, die, or take all memory."""
    kind = harm(response)
    if kind == "raise":
        raise ValueError("on purpose")
    if kind == "nan":
        return float("nan")
    if kind == "hang":
        time.sleep(1e6)
    if kind == "segfault":
        ctypes.string_at(0)
    if kind == "exit":
        os._exit(3)
    if kind == "memory":
        bytearray(1 << 45)
    return float(sum(map(ord, response)) % 2)
