"""Running a coroutine from code that is not asynchronous itself, also where an event loop runs already: in a notebook."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run_coroutine(coroutine: Coroutine[Any, Any, T]) -> T:
    """What it comes to. In a thread whose event loop is running, another thread runs it meanwhile."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1, thread_name_prefix="grpo-kit-coroutine") as thread:
        return thread.submit(asyncio.run, coroutine).result()
