"""The processes of one run, as torchrun starts them: who am I, and what do the others say. Alone, every answer is trivial.

Objects travel over a gloo group of their own, so that a message never waits behind the gradients and never needs a GPU.
A thread that samples ahead has a second one (`aside`): messages of two threads have no common order.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from grpo_kit.errors import RunFailed, UserError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

# Longer than any difference between ranks: one may still generate its longest answer when the others are done.
SECONDS_AT_A_BARRIER = 1800.0
SECONDS_BETWEEN_LOOKS = 0.01
_control: list[object] = []  # the main thread's group, and that of the thread aside
_thread = threading.local()
_planned = 1  # processes that there are to be, before torchrun has started any


def launched() -> bool:
    """Whether torchrun (or something that speaks like it) started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ and "MASTER_ADDR" in os.environ


def rank() -> int:
    """This process, 0 .. world_size() - 1."""
    return int(os.environ["RANK"]) if launched() else 0


def world_size() -> int:
    return int(os.environ["WORLD_SIZE"]) if launched() else _planned


@contextmanager
def planned(processes: int) -> Iterator[None]:
    """For what is checked before torchrun starts so many."""
    global _planned
    before, _planned = _planned, processes
    try:
        yield
    finally:
        _planned = before


def local_rank() -> int:
    """This process among those of its machine: which GPU is its own."""
    return int(os.environ.get("LOCAL_RANK", "0")) if launched() else 0


def first() -> bool:
    """Whether this process writes what a run writes."""
    return rank() == 0


def machines() -> int:
    return int(os.environ.get("GROUP_WORLD_SIZE", "1")) if launched() else 1


def restarts_allowed() -> bool:
    return launched() and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0


def together() -> bool:
    """Whether this process has joined others (a group of one counts)."""
    return bool(_control)


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Join the other processes of the run for the time of a block; nothing happens where there are none.

    Raises:
        UserError: more processes on this machine than it has GPUs, or a launch that could not restart.
    """
    if not launched():
        yield
        return
    import torch
    import torch.distributed as dist

    backend = "gloo"
    if device.type == "cuda":
        if local_rank() >= torch.cuda.device_count():
            raise UserError(
                f"--nproc-per-node: rank {rank()} would be the GPU number {local_rank()} of a machine that has "
                f"{torch.cuda.device_count()}; start fewer processes, or train with device=cpu"
            )
        torch.cuda.set_device(local_rank())
        backend = "cpu:gloo,cuda:nccl"
    limit = timedelta(seconds=SECONDS_AT_A_BARRIER)
    dist.init_process_group(backend, timeout=limit, **_store(limit))
    _control.extend(dist.new_group(backend="gloo", timeout=limit) for _ in range(2))
    try:
        yield
    finally:
        _control.clear()
        if dist.is_initialized():  # vLLM's engine in process takes down all groups when it ends
            dist.destroy_process_group()


def _store(limit: timedelta) -> dict[str, Any]:
    """Where the ranks find each other, for `init_process_group`.

    By default torchrun lets all attempts of a run share one store, and a process that was started again would read the
    addresses of the dead (seen with torch 2.13). On one machine the attempts are numbered, so each gets names of its own;
    on several, the numbers of the machines differ, and torchrun has to make a new store for each attempt.
    """
    import torch.distributed as dist

    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return {}
    if restarts_allowed() and machines() > 1:
        raise UserError(
            "torchrun --max-restarts on several machines needs TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the environment of "
            "torchrun: otherwise processes that start again meet the addresses of those that died"
        )
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    shared = dist.TCPStore(address, port, world_size(), is_master=False, timeout=limit)
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return {"store": dist.PrefixStore(f"attempt-{attempt}", shared), "rank": rank(), "world_size": world_size()}


@contextmanager
def aside() -> Iterator[None]:
    """Within, this thread's messages go to the same thread of the other ranks, and not to their main threads."""
    _thread.aside = True
    try:
        yield
    finally:
        _thread.aside = False


def _group() -> Any:
    return _control[int(getattr(_thread, "aside", False))]


def barrier(purpose: str, seconds: float = SECONDS_AT_A_BARRIER) -> None:
    """Wait until every rank is here.

    Raises:
        RunFailed: naming ``purpose`` and, on rank 0, the ranks that did not come.
    """
    if not _control:
        return
    import torch.distributed as dist

    try:
        dist.monitored_barrier(_group(), timedelta(seconds=seconds), wait_all_ranks=True)
    except RuntimeError as error:
        raise _alone(purpose, error) from error


def polled_barrier(purpose: str, seconds: float) -> Iterator[None]:
    """Yield about every ``seconds`` until every rank is here, for what can be done meanwhile. Raises RunFailed as `barrier`."""
    if not _control:
        return
    import torch.distributed as dist

    work = dist.barrier(_group(), async_op=True)
    last = time.monotonic()
    while not work.is_completed():
        time.sleep(SECONDS_BETWEEN_LOOKS)
        if time.monotonic() - last > seconds:
            yield
            last = time.monotonic()
    try:
        work.wait()
    except RuntimeError as error:
        raise _alone(purpose, error) from error


def _alone(purpose: str, error: RuntimeError) -> RunFailed:
    return RunFailed(
        f"rank {rank()} of {world_size()} waited for the others at: {purpose}. {str(error).splitlines()[0]}. The rank "
        "that failed first says why above; with torchrun --max-restarts the run goes on from its last checkpoint."
    )


def all_gather(value: T, purpose: str) -> list[T]:
    """What every rank has for ``purpose``, by rank."""
    if not _control:
        return [value]
    import torch.distributed as dist

    barrier(purpose)
    values: list[T | None] = [None] * world_size()
    dist.all_gather_object(values, value, group=_group())
    return values  # type: ignore[return-value]


def broadcast(value: T, purpose: str) -> T:
    """Rank 0's value."""
    return all_gather(value if first() else None, purpose)[0]  # type: ignore[return-value]


def all_reduce_sum(values: Sequence[float], purpose: str) -> list[float]:
    """The sums over all ranks, in rank order, so that every rank gets the same bits."""
    return [sum(column) for column in zip(*all_gather(list(values), purpose), strict=True)]


def all_reduce(tensor: torch.Tensor) -> torch.Tensor:
    """The sum of the ranks' tensors, in place."""
    if _control:
        import torch.distributed as dist

        dist.all_reduce(tensor)
    return tensor


def any_rank(flag: bool, purpose: str) -> bool:
    return any(all_gather(flag, purpose))


def shard(items: Sequence[T]) -> list[T]:
    """This rank's part of a list that every rank has: every world_size-th, so that parts differ by one at most."""
    return list(items[rank() :: world_size()]) if _control else list(items)


def all_gather_dict(parts: dict[str, T], purpose: str) -> dict[str, T]:
    """The parts of a mapping that the ranks hold, as one."""
    return {key: value for part in all_gather(parts, purpose) for key, value in part.items()}
