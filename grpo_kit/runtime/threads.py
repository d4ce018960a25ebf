"""How many threads torch gets, and that they do not spin.

Between two parallel pieces of work OpenMP threads wait in a loop for milliseconds. Beside one other busy process on a small
machine (the scoring pool, the sandbox) they then hold the core that the other needs, and a step takes several times as
long as with one thread. So threads sleep soon, and a second one is used only where a trial shows that it helps.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# What GNU's and Intel's OpenMP read. Measured beside a dozen other processes on two cores, forward and backward of a 0.6 M
# model: spinning threads 3.6 s, sleeping ones 0.17 s, one thread 0.24 s.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
WORTH = 1.25  # a thread count must be this much faster than one thread: the pool and the sandbox want the cores too
ROUNDS = 9


def let_threads_sleep(environment: MutableMapping[str, str] = os.environ) -> None:
    """Before torch is imported: OpenMP reads its settings once. What the user has set stays."""
    if not {"GOMP_SPINCOUNT", *WAITING} & set(environment):
        environment.update(WAITING)


def trial() -> dict[int, float]:
    """Median seconds of a small piece of a training step for one thread, and for as many as there are cores."""
    import torch

    before = torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    inputs, weight = torch.randn(512, 256), torch.randn(256, 768)
    found = {}
    try:
        for count in sorted({1, cores}):
            torch.set_num_threads(count)
            found[count] = statistics.median(_piece(inputs, weight) for _ in range(ROUNDS))
    finally:
        torch.set_num_threads(before)
    return found


def _piece(inputs: torch.Tensor, weight: torch.Tensor) -> float:
    begun = time.perf_counter()
    for _ in range(4):
        (inputs @ weight).sigmoid().sum(-1)
    return time.perf_counter() - begun


def choose_threads(environment: Mapping[str, str] = os.environ, measured: dict[int, float] | None = None) -> int:
    """The number of threads for torch here and now.

    A set OMP_NUM_THREADS is obeyed (torchrun sets it). The choice changes rounding, so a run keeps it in its configuration.
    """
    import torch

    if environment.get("OMP_NUM_THREADS", "").isdigit():
        return torch.get_num_threads()
    found = trial() if measured is None else measured
    best = min(found, key=lambda count: found[count])
    return best if found[1] / found[best] >= WORTH else 1
