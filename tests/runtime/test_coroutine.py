"""A coroutine is run from anywhere, a notebook's running event loop included."""

import asyncio

import pytest

from grpo_kit.runtime.coroutine import run_coroutine
from grpo_kit.verifiers import Score, get_verifier, verifier


async def later(value):
    await asyncio.sleep(0)
    if value is None:
        raise KeyError("none")
    return value


@verifier(name="waits")
async def waits(response: str, answer) -> Score:
    return Score(await later(float(response == answer)))


def test_without_a_loop_and_within_one():
    async def notebook():
        with pytest.raises(KeyError, match="none"):
            run_coroutine(later(None))
        return run_coroutine(later(3)), get_verifier("waits")(response="4", answer="4").value

    assert run_coroutine(later(2)) == 2
    assert asyncio.run(notebook()) == (3, 1.0)
