"""Networks whose weights, gradients and optimizer state are spread over the ranks by PyTorch's FSDP2 (`fully_shard`).

A network that is trained stands beside its whole twin: training goes through the shards, while generating, saving and
loading use the twin, which is filled from the shards when it is asked for. A frozen one has none: nothing but passes is
ever asked of it, and those go through its shards.
"""

from __future__ import annotations

import contextlib
import copy
import gc
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from grpo_kit.runtime import ranks

from .layers import blocks_of
from .logprobs import ActionLogprobs
from .models import Policy
from .packing import MicroBatch
from .value_model import ValueModel
from .weights import whole_of

if TYPE_CHECKING:
    from grpo_kit.config import ParallelConfig


class Root(nn.Module):
    """The module at which a pass begins and ends: FSDP2 gathers and frees weights around its forward.

    Log-probabilities are computed inside, because they read the weights of the output head.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, compute: Callable[..., Any], *arguments: Any) -> Any:
        result = compute(*arguments)
        # FSDP2 hangs its hooks on the outputs, and a view can lose them.
        return tuple(r.clone() for r in result) if isinstance(result, tuple) else result.clone()


@dataclass
class Shards:
    """The sharded network, its root, and its whole twin.

    Attributes:
        twin: the same network with whole weights, as old as the last `gather`.
    """

    network: Any
    root: Root
    twin: Any

    @torch.no_grad()
    def gather(self) -> Any:
        """The twin with the weights of now. Every rank must call it."""
        for shard, whole in zip(self.network.parameters(), self.twin.parameters(), strict=True):
            whole.copy_(whole_of(shard))
        return self.twin

    @torch.no_grad()
    def take(self) -> None:
        """Cut the twin's weights into this rank's shards."""
        from torch.distributed.tensor import distribute_tensor

        for shard, whole in zip(self.network.parameters(), self.twin.parameters(), strict=True):
            part = distribute_tensor(whole.detach(), shard.device_mesh, shard.placements, src_data_rank=None)
            shard.to_local().copy_(part.to_local())


@dataclass
class ShardedPolicy(Policy):
    """A policy whose weights are spread over the ranks.

    Attributes:
        plain: the policy as it was, on the network that is sharded now: it says what is computed.
        unsharded: the policy on the whole twin.
    """

    shards: Shards = field(kw_only=True)
    plain: Policy = field(kw_only=True)
    unsharded: Policy = field(kw_only=True)
    parallel: ParallelConfig = field(kw_only=True)

    def logprobs(self, batch: MicroBatch, temperature: float, entropy_gradient: bool = False) -> tuple[Tensor, Tensor]:
        return self.shards.root(self.plain.logprobs, batch, temperature, entropy_gradient)

    def actions(self, batch: MicroBatch, chosen: Tensor | None = None) -> ActionLogprobs:
        return ActionLogprobs(*self.shards.root(self.plain.actions, batch, chosen))

    def whole(self) -> Policy:
        self.shards.gather()
        return self.unsharded

    def reference(self) -> Policy:
        if type(self.plain) is not Policy:  # adapters off: the same shards, read otherwise
            off = self.plain.reference()
            return _over(off, self.shards.root)
        return _through(self.unsharded.copied(_skeleton(self.unsharded.model)), self.parallel, self.shards.network)

    def let_go(self) -> None:
        self.unsharded.let_go()
        self.model = self.plain.model = self.unsharded.model
        self.shards = Shards(self.model, Root(self.model), self.model)
        gc.collect()  # FSDP2's modules and their hooks hold each other

    def save(self, folder: Path, shard_gb: float | None = None) -> None:
        self.whole().save(folder, shard_gb)

    def load_weights(self, folder: Path) -> None:
        self.unsharded.load_weights(folder)
        self.shards.take()


@dataclass
class _Through(Policy):
    """A frozen policy that computes through a root: its own, or the one of the policy that it shares its weights with."""

    root: Root = field(kw_only=True)
    plain: Policy = field(kw_only=True)

    def logprobs(self, batch: MicroBatch, temperature: float, entropy_gradient: bool = False) -> tuple[Tensor, Tensor]:
        return self.root(self.plain.logprobs, batch, temperature, entropy_gradient)

    def actions(self, batch: MicroBatch, chosen: Tensor | None = None) -> ActionLogprobs:
        return ActionLogprobs(*self.root(self.plain.actions, batch, chosen))

    def standing(self) -> contextlib.AbstractContextManager[None]:
        return self.plain.standing()  # around the root: within it the weights are gathered copies

    def follow(self, other: Policy, rate: float = 1.0) -> None:
        self.plain.follow(other, rate)

    def snapshot(self) -> dict[str, Tensor]:
        return self.plain.snapshot()

    def restore(self, weights: dict[str, Tensor]) -> None:
        self.plain.restore(weights)


@dataclass
class ShardedValueModel(ValueModel):
    """A critic or reward model whose weights are spread over the ranks; the attributes as in `ShardedPolicy`."""

    shards: Shards = field(kw_only=True)
    plain: ValueModel = field(kw_only=True)
    unsharded: ValueModel = field(kw_only=True)

    def values(self, batch: MicroBatch) -> Tensor:
        return self.shards.root(self.plain.values, batch)

    def rewards(self, batch: MicroBatch) -> Tensor:
        return self.shards.root(self.plain.rewards, batch)

    def whole(self) -> ValueModel:
        self.shards.gather()
        return self.unsharded

    def save(self, folder: Path, shard_gb: float | None = None) -> None:
        self.whole().save(folder, shard_gb)

    def load_weights(self, folder: Path) -> None:
        self.unsharded.load_weights(folder)
        self.shards.take()

    def take_whole(self) -> None:
        self.shards.take()


@dataclass
class _ValuesThrough(ValueModel):
    """A frozen critic that computes through its root, without a whole twin."""

    root: Root = field(kw_only=True)
    plain: ValueModel = field(kw_only=True)

    def values(self, batch: MicroBatch) -> Tensor:
        return self.root(self.plain.values, batch)

    def rewards(self, batch: MicroBatch) -> Tensor:
        return self.root(self.plain.rewards, batch)


def shard_policy(policy: Policy, parallel: ParallelConfig) -> Policy:
    """The policy spread over the ranks of the run; as it is where there are none."""
    if not ranks.together():
        return policy
    whole = copy.copy(policy)
    _agree(policy.model)
    whole.model = copy.deepcopy(policy.model).requires_grad_(False)
    root = _shard(policy.model, policy.device, policy.autocast, parallel, full_head=policy.full_head)
    shards = Shards(policy.model, root, whole.model)
    return ShardedPolicy(
        shards.network,
        policy.tokenizer,
        policy.device,
        policy.autocast,
        full_head=policy.full_head,
        shards=shards,
        plain=policy,
        unsharded=whole,
        parallel=parallel,
    )


def shard_frozen(policy: Policy, parallel: ParallelConfig) -> Policy:
    """A policy that is never trained, sampled from or saved, spread over the ranks without a whole copy beside it."""
    if not ranks.together():
        return policy
    _agree(policy.model)
    return _through(policy, parallel)


def _through(policy: Policy, parallel: ParallelConfig, shards: Any = None) -> _Through:
    """The policy behind a root of its own. shards: a sharded network whose weights of now it takes, having none."""
    root = _shard(policy.model, policy.device, policy.autocast, parallel, full_head=policy.full_head)
    network: Any = policy.model
    if shards is not None:
        own = {id(p): nn.Parameter(p.detach().clone(), requires_grad=False) for p in shards.parameters()}
        weights = {name: own[id(p)] for name, p in shards.state_dict(keep_vars=True).items() if id(p) in own}
        network.load_state_dict(weights, strict=False, assign=True)
    return _over(policy, root)


def _over(policy: Policy, root: Root) -> _Through:
    return _Through(
        policy.model,
        policy.tokenizer,
        policy.device,
        policy.autocast,
        full_head=policy.full_head,
        root=root,
        plain=policy,
    )


def _skeleton(network: Any) -> Any:
    """A copy of a network without memory for its weights; weights that are tied stay so."""
    empty = {id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False) for p in network.parameters()}
    return copy.deepcopy(network, empty)


def shard_value_model(model: ValueModel, parallel: ParallelConfig) -> ValueModel:
    """The value model spread over the ranks of the run; as it is where there are none."""
    if not ranks.together():
        return model
    twin = copy.copy(model)
    _agree(model.model)
    twin.model = copy.deepcopy(model.model).requires_grad_(False)
    shards = Shards(model.model, _shard(model.model, model.device, model.autocast, parallel), twin.model)
    return ShardedValueModel(
        shards.network, model.tokenizer, model.device, model.autocast, shards=shards, plain=model, unsharded=twin
    )


def shard_frozen_values(model: ValueModel, parallel: ParallelConfig) -> ValueModel:
    """A value model that is never trained or saved, spread over the ranks without a whole copy beside it."""
    if not ranks.together():
        return model
    _agree(model.model)
    root = _shard(model.model, model.device, model.autocast, parallel)
    return _ValuesThrough(model.model, model.tokenizer, model.device, model.autocast, root=root, plain=model)


@torch.no_grad()
def _agree(network: Any) -> None:
    """Rank 0 decides what everybody starts from."""
    for parameter in network.parameters():
        dist.broadcast(parameter, 0)


def _shard(
    network: Any,
    device: torch.device,
    precision: torch.dtype | None,
    parallel: ParallelConfig,
    full_head: bool = False,
) -> Root:
    """Cut a network in place, layer by layer."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard

    mesh = init_device_mesh(device.type, (ranks.world_size(),))
    settings: dict[str, Any] = {
        "mesh": mesh,
        # Gradients are summed in the precision of the master weights.
        "mp_policy": MixedPrecisionPolicy(param_dtype=precision, reduce_dtype=torch.float32 if precision else None),
        "offload_policy": CPUOffloadPolicy() if parallel.cpu_offload and device.type == "cuda" else OffloadPolicy(),
        "reshard_after_forward": True,
    }
    for block in blocks_of(network):
        fully_shard(block, **settings)
    root = Root(network)
    if full_head:  # the head is of the root's own weights: gathered as they are
        settings["mp_policy"] = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    fully_shard(root, **settings)
    for module in root.modules():
        if isinstance(module, FSDPModule):
            # The loss is divided by global denominators already: ranks add up, they do not average.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    return root


# --- tensors of optimizers ------------------------------------------------------------------------------------------


def gathered_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimizer's state as one process would have it, so that it loads at any number of ranks."""
    state = optimizer.state_dict()
    if not ranks.together():
        return state
    whole = {
        index: {name: whole_of(v).cpu() if hasattr(v, "full_tensor") else v for name, v in values.items()}
        for index, values in state["state"].items()
    }
    return {"state": whole, "param_groups": state["param_groups"]}


def load_gathered_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load what `gathered_state` made, at any number of ranks."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def cut(index: int, value: Any) -> Any:
        parameter = parameters[index]
        if not isinstance(parameter, DTensor) or not torch.is_tensor(value) or value.shape != parameter.shape:
            return value
        on_device = value.to(parameter.device_mesh.device_type)
        made = distribute_tensor(on_device, parameter.device_mesh, parameter.placements, src_data_rank=None)
        return made.to(parameter.device)

    moments = {i: {name: cut(i, v) for name, v in values.items()} for i, values in state["state"].items()}
    optimizer.load_state_dict({"state": moments, "param_groups": state["param_groups"]})


def clip_gradients(parameters: Iterable[Tensor], limit: float) -> Tensor:
    """Scale the gradients of all ranks down to a common norm of at most ``limit``; returns the norm before, a scalar."""
    parameters = list(parameters)
    if any(
        p.dtype is torch.bfloat16 for p in parameters
    ):  # of one process; their own norms would have their own few digits
        gradients = [p.grad for p in parameters if p.grad is not None]
        norms = [torch.linalg.vector_norm(g, dtype=torch.float32) for g in gradients]
        total = torch.linalg.vector_norm(torch.stack(norms))
        nn.utils.clip_grads_with_norm_(parameters, limit, total)
        return total
    norm: Any = nn.utils.clip_grad_norm_(parameters, limit)
    return whole_of(norm) if hasattr(norm, "full_tensor") else norm
