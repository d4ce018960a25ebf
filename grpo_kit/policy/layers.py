"""The layers of a transformer: alike, so that what is done once for each of them is done for nearly the whole network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn
from torch._dynamo import config as dynamo  # is there with the first of transformers' models

from grpo_kit.errors import UserError

from .network import Network

GRAPHS = 32  # that a layer's code may be compiled to


def blocks_of(network: Any) -> list[nn.Module]:
    """The transformer's layers: of several processes what is gathered, used and freed one at a time."""
    count = network.config.num_hidden_layers
    lists = [m for m in network.modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    return list(lists[0]) if lists else []


def checkpoint_layers(network: Network) -> None:
    """Have each layer pass again in the backward pass, in place of what it would keep until then; not so in `eval`."""
    # transformers and peft hook something to the embedding, for the reentrant kind; hooked networks are decoded by their forward.
    network.disable_input_require_grads()  # the earlier hooks are forgotten, and not removed, when others come
    network.gradient_checkpointing_enable({"use_reentrant": False})
    network.disable_input_require_grads()


def compile_layers(network: Network, **options: Any) -> None:
    """Have each layer compiled when training first comes to it: all of one kind share what the first one took seconds for.

    Args:
        options: of torch.compile.

    Raises:
        UserError: the network has no list of layers.
    """
    layers = blocks_of(network)
    if not layers:
        raise UserError(f"model.compile: {type(network).__name__} has no list of layers; set model.compile=false")
    for layer in layers:
        layer.compile(dynamic=True, **options)
        compiled: Any = layer._compiled_call_impl  # which copies of a network do not have
        layer._compiled_call_impl = partial(_without_cache, layer, compiled)
    # With and without gradients, trees, several rows, a single one, a first layer below which nothing is trained; and of a
    # policy and of a critic of another shape.
    dynamo.recompile_limit = max(dynamo.recompile_limit, GRAPHS)


def _without_cache(layer: nn.Module, compiled: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
    """Passes that fill a cache are of generation, and in them each layer is another one to the compiler: it has a place there."""
    from transformers import Cache

    cached = any(isinstance(value, Cache) for value in (*inputs, *named.values()))  # GPT-2's comes by position
    return (layer._call_impl if cached else compiled)(*inputs, **named)
