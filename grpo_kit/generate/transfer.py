"""How weights reach vLLM servers: a file that all of them can read, or NCCL straight from the trainer's GPU."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from grpo_kit.errors import UserError
from grpo_kit.policy.models import Policy
from grpo_kit.policy.network import Network
from grpo_kit.policy.weights import exported_weights

from .vllm_adapters import ADAPTERS, save_adapters
from .vllm_http import ServerLost, VllmServer


class Transfer(Protocol):
    """Hands the weights of one policy version to any number of servers."""

    def prepare(self, model: Network, version: int) -> int | None:
        """From now on, `give` hands out these weights. Returns the bytes that a server is given; None if nobody counts them."""

    def give(self, server: VllmServer) -> None:
        """Bring ``server`` to the prepared version, nothing older in its caches. Raises ServerLost."""

    def forget_older(self) -> None:
        """Every server that matters has the prepared version."""

    def close(self) -> None:
        """Leave nothing behind."""


def open_transfer(
    policy: Policy, kind: str, folder: Path, warn: Callable[[str], None], adapters: bool = False
) -> Transfer:
    """kind: ``rollout.vllm.transfer``. Raises UserError if NCCL is asked for where there is none."""
    if adapters:
        return AdapterTransfer(folder)
    dtype = policy.autocast or torch.float32
    by_folder = FolderTransfer(folder, dtype)
    if kind == "folder":
        return by_folder
    missing = _no_nccl(policy)
    if missing is None:
        return NcclTransfer(policy.device, dtype, by_folder if kind == "auto" else None, warn)
    if kind == "nccl":
        raise UserError(f"rollout.vllm.transfer nccl: {missing}; use transfer: folder")
    return by_folder


def _no_nccl(policy: Policy) -> str | None:
    if policy.device.type != "cuda":
        return f"the trainer's weights are on the {policy.device.type}, and NCCL moves them between CUDA devices"
    try:
        import vllm.distributed.weight_transfer  # noqa: F401
    except ImportError as error:
        return f"the trainer's side of the transfer is part of vLLM, which cannot be imported here ({error})"
    return None


def _wire(model: Any, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Every weight in the engine's precision."""
    for name, tensor in exported_weights(model):
        yield name, tensor.to(dtype) if tensor.is_floating_point() else tensor


class FolderTransfer:
    """Weights as one safetensors file, which every server reads from the same path."""

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        self.folder, self.dtype = folder, dtype
        self.version = -1
        self.weights: Path | None = None
        self.older: Path | None = None

    def prepare(self, model: Network, version: int) -> int:
        from safetensors.torch import save_file

        self.forget_older()
        target = self.folder / f"weights-{version}"
        target.mkdir(exist_ok=True)
        # Tied weights stand under both names; the file format wants each to have memory of its own.
        tensors = {name: t.to("cpu", copy=True).contiguous() for name, t in _wire(model, self.dtype)}
        save_file(tensors, target / "model.safetensors", {"format": "pt"})
        self._replace(target, version)
        return sum(tensor.nbytes for tensor in tensors.values())

    def _replace(self, target: Path, version: int) -> None:
        self.older = self.weights if self.weights != target else None
        self.weights, self.version = target, version

    def give(self, server: VllmServer) -> None:
        with server.updating(self.version):
            server.call("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": str(self.weights)}})

    def forget_older(self) -> None:
        if self.older is not None:
            shutil.rmtree(self.older)
            self.older = None

    def close(self) -> None:
        for folder in (self.older, self.weights):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)


class AdapterTransfer(FolderTransfer):
    """Adapters alone, as a folder that every server reads from the same path; a server has one version of them at a time.

    They replace those of before under one name, so that requests which were frozen meanwhile go on with them.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, torch.float32)

    def prepare(self, model: Network, version: int) -> int:
        self.forget_older()
        target = self.folder / f"adapters-{version}"
        size = save_adapters(model, target)
        self._replace(target, version)
        return size

    def give(self, server: VllmServer) -> None:
        named = {"lora_name": ADAPTERS, "lora_path": str(self.weights), "load_inplace": True}
        with server.updating(self.version):
            server.call("/v1/load_lora_adapter", named, parsed=False)


@dataclass(frozen=True)
class WeightMeta:
    """What vLLM's transfer engines read of a weight before it travels."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]


class ModelWeights:
    """The model as vLLM's transfer engines want it (its ``WeightSource`` protocol): metadata, then a fresh pass a round."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.model: Any = None
        self.dtype, self.device = dtype, device

    def metadata(self) -> list[WeightMeta]:
        return [WeightMeta(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        # Matrices that were made whole from four bits lie in the host's memory, and NCCL takes none from there.
        return ((name, tensor.to(self.device)) for name, tensor in _wire(self.model, self.dtype))


class ServerClient:
    """The four calls by which vLLM's trainer side drives a server (its ``VLLMWeightSyncClient`` protocol)."""

    def __init__(self, server: VllmServer) -> None:
        self.server = server

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        self.server.call("/init_weight_transfer_engine", {"init_info": init_info})

    def start_weight_update(self) -> None:
        self.server.call("/start_weight_update", {})

    def update_weights(self, update_info: Any) -> None:
        self.server.call("/update_weights", {"update_info": update_info})

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        self.server.call("/finish_weight_update", {} if weight_version is None else {"weight_version": weight_version})


class NcclTransfer:
    """Weights by vLLM's own NCCL broadcast. Each server shares a group with the trainer only: one that dies breaks no other.

    Args:
        fallback: used for every server from the first time that a group cannot be opened; None to fail instead.
    """

    def __init__(
        self, device: torch.device, dtype: torch.dtype, fallback: FolderTransfer | None, warn: Callable[[str], None]
    ) -> None:
        self.device, self.fallback, self.warn = device, fallback, warn
        self.source = ModelWeights(dtype, device)
        self.version = -1
        self.failed = False
        self._lines: dict[str, Any] = {}
        self._one_at_a_time = threading.Lock()  # one trainer GPU sends

    def prepare(self, model: Network, version: int) -> int | None:
        self.source.model, self.version = model, version
        if self.failed and self.fallback is not None:
            return self.fallback.prepare(model, version)
        return None

    def give(self, server: VllmServer) -> None:
        with self._one_at_a_time:
            line = None if self.failed else self._line(server)
            if line is not None:
                self._send(server, line)
                return
        assert self.fallback is not None
        self.fallback.give(server)

    def _send(self, server: VllmServer, line: Any) -> None:
        try:
            with server.updating(self.version), _current(self.device):
                line.send_weights()
        except Exception as error:
            self._lines.pop(server.url)  # a group that failed once is of no use any more
            raise error if isinstance(error, ServerLost) else ServerLost(f"weights by NCCL: {error}") from error

    def _line(self, server: VllmServer) -> Any | None:
        """The group with this server, opened anew for one that was lost; None to go on by the folder."""
        if server.was_lost:
            self._lines.pop(server.url, None)
        if server.url not in self._lines:
            try:
                self._lines[server.url] = self._open(server)
            except Exception as error:
                if self.fallback is None or self.version > 0:
                    raise error if isinstance(error, ServerLost) else ServerLost(f"NCCL group: {error}") from error
                self.warn(f"no NCCL group with {server.url} ({error}); weights go through {self.fallback.folder}")
                self.failed = True
                self.fallback.prepare(self.source.model, self.version)
                return None
        return self._lines[server.url]

    def _open(self, server: VllmServer) -> Any:
        from vllm.distributed.weight_transfer import WeightTransferTrainerFactory
        from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo

        size = int(server.call("/get_world_size")["world_size"])
        address, port = _rendezvous(server.url)
        server.call("/shutdown_weight_transfer_engine", {})  # of a trainer that is gone
        with _current(self.device):
            return WeightTransferTrainerFactory.trainer_init(
                NCCLTrainerInitInfo(address, port, 1 + size, rank=0), client=ServerClient(server), source=self.source
            )

    def forget_older(self) -> None:
        if self.fallback is not None:
            self.fallback.forget_older()

    def close(self) -> None:
        self._lines.clear()
        if self.fallback is not None:
            self.fallback.close()


def _current(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """vLLM sends from the current device, of which every thread has its own."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def _rendezvous(url: str) -> tuple[str, int]:
    """An address of this machine that the server can reach, and a free port on it."""
    from .vllm_http import host_and_port

    host, port = host_and_port(url)
    with socket.create_connection((host, port), timeout=10) as connection:
        address = connection.getsockname()[0]
    with socket.socket() as free:
        free.bind((address, 0))
        return address, free.getsockname()[1]
