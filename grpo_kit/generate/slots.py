"""The key-value cache of the embedded engine: one slot per running sequence, reused when the sequence ends."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer

GROWTH = 64  # columns are added in steps, so that short completions never pay for the longest possible one


class SlotLayer(CacheLayerMixin):
    """Keys and values of one layer: [slots, heads, columns, head_dim], row i written at its own column.

    Rows stand at different lengths, so there is no padding on the left and a new sequence may enter at any time.
    """

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.slots = slots
        self.columns = 0
        self.positions: Tensor | None = None
        self.visible = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.keys = key_states.new_empty(self.slots, key_states.shape[1], 0, key_states.shape[3])
        self.values = value_states.new_empty(self.slots, value_states.shape[1], 0, value_states.shape[3])
        self.is_initialized = True

    def reserve(self, columns: int) -> None:
        if columns <= self.columns:
            return
        wanted = max(columns, self.columns + GROWTH, self.columns * 5 // 4)
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_zeros(old.shape[0], old.shape[1], wanted, old.shape[3])
            new[:, :, : self.columns] = old
            setattr(self, name, new)
        self.columns = wanted

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write one new column for each running row, at that row's position; return what the rows may look at."""
        assert self.keys is not None
        assert self.values is not None
        assert self.positions is not None
        self.reserve(self.visible)
        rows = torch.arange(key_states.shape[0], device=key_states.device)
        self.keys[rows, :, self.positions] = key_states[:, :, 0].to(self.keys.dtype)
        self.values[rows, :, self.positions] = value_states[:, :, 0].to(self.values.dtype)
        count = key_states.shape[0]
        return self.keys[:count, :, : self.visible], self.values[:count, :, : self.visible]

    def insert(self, first: int, keys: Tensor, values: Tensor, source: Tensor) -> None:
        """Fill slots ``first ..`` with copies of prefilled prompts; ``source[j]`` is the prompt of the j-th new slot."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        self.reserve(keys.shape[2])
        assert self.keys is not None
        assert self.values is not None
        stop = first + source.shape[0]
        self.keys[first:stop, :, : keys.shape[2]] = keys[source]
        self.values[first:stop, :, : keys.shape[2]] = values[source]

    def move(self, destination: Tensor, origin: Tensor) -> None:
        """Copy whole rows, to keep the running ones side by side."""
        assert self.keys is not None
        assert self.values is not None
        self.keys[destination] = self.keys[origin]
        self.values[destination] = self.values[origin]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.visible, 0

    def get_seq_length(self) -> int:
        return self.visible

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """A `SlotLayer` for each layer of the model, moving together."""

    def __init__(self, layers: int, slots: int) -> None:
        self.slot_layers = [SlotLayer(slots) for _ in range(layers)]
        super().__init__(layers=list(self.slot_layers))

    def step(self, positions: Tensor) -> None:
        """Announce where the next token of each running row goes. positions: [rows]."""
        visible = int(positions.max()) + 1
        for layer in self.slot_layers:
            layer.positions, layer.visible = positions, visible

    def insert(self, first: int, prefilled: DynamicCache, source: Tensor) -> None:
        for ours, theirs in zip(self.slot_layers, prefilled.layers, strict=True):
            assert isinstance(theirs, DynamicLayer)
            assert theirs.keys is not None
            assert theirs.values is not None
            ours.insert(first, theirs.keys, theirs.values, source)

    def move(self, destination: Tensor, origin: Tensor) -> None:
        for layer in self.slot_layers:
            layer.move(destination, origin)
