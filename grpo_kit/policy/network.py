"""What the kit reads of transformers' networks: modules with a config, with an output head, or with a score.

Protocols and not transformers' classes, because a network may also be sharded, or adapted by peft.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn


class Hidden(Protocol):
    """What a backbone answers with."""

    @property
    def last_hidden_state(self) -> Tensor: ...  # [rows, length, hidden]


class Logits(Protocol):
    """What a causal language model answers with."""

    @property
    def logits(self) -> Tensor: ...  # [rows, length, vocabulary]


class Backbone(Protocol):
    """A transformer without its output head."""

    def __call__(self, *, input_ids: Tensor, use_cache: bool) -> Hidden: ...


class OutputEmbeddings(Protocol):
    """The layer that makes logits of hidden states."""

    @property
    def weight(self) -> Tensor: ...  # [vocabulary, hidden]


class Network(Protocol):
    """Any network of transformers; ``config`` differs by architecture."""

    config: Any

    @property
    def training(self) -> bool: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def buffers(self) -> Iterator[Tensor]: ...

    def modules(self) -> Iterator[nn.Module]: ...

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]: ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> Any: ...

    def train(self, mode: bool = True) -> Any: ...

    def eval(self) -> Any: ...

    def requires_grad_(self, requires_grad: bool = True) -> Any: ...

    def zero_grad(self, set_to_none: bool = True) -> None: ...

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any]) -> None: ...

    def disable_input_require_grads(self) -> None: ...

    def save_pretrained(self, save_directory: Path, **settings: Any) -> Any: ...


class CausalModel(Network, Protocol):
    """A causal language model: token ids [rows, length] in, logits out."""

    def __call__(self, *, input_ids: Tensor, use_cache: bool) -> Logits: ...

    def get_decoder(self) -> Any: ...  # a `Backbone` that is also an nn.Module

    def get_output_embeddings(self) -> OutputEmbeddings: ...


class AdaptedModel(CausalModel, Protocol):
    """A causal language model in which peft has put adapters."""

    def get_base_model(self) -> Any: ...

    def disable_adapter(self) -> Any: ...


class ScoredNetwork(Network, Protocol):
    """A network of sequence classification with a single label."""

    @property
    def base_model(self) -> Backbone: ...

    def score(self, hidden: Tensor) -> Tensor: ...
