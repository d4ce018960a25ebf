"""The key-value cache of the embedded engine: one slot per running sequence, reused when the sequence ends or leaves."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer

GROWTH = 64  # columns are added in steps, so that short completions never pay for the longest possible one


class SlotLayer(CacheLayerMixin):
    """Keys and values of one layer: [slots, heads, columns, head_dim], row i written at its own column.

    Rows stand at different lengths, so there is no padding on the left and a new sequence may enter at any time.

    Attributes:
        first, rows, positions: where what is computed next goes, as `SlotCache.step` was told.
        window: how many columns it may look at.
        visible: how many columns the running rows have written.
    """

    def __init__(self, slots: int, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.slots, self.kept_as = slots, dtype
        self.columns = 0
        self.first = 0
        self.rows: Tensor | None = None
        self.positions: Tensor | None = None
        self.window = self.visible = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        for name, states in (("keys", key_states), ("values", value_states)):
            empty = states.new_empty(
                self.slots, states.shape[1], 0, states.shape[3], dtype=self.kept_as or states.dtype
            )
            setattr(self, name, empty)
        self.is_initialized = True

    def reserve(self, columns: int, rows: int) -> None:
        """Make room for ``columns``, keeping what stands in the first ``rows`` slots."""
        if columns <= self.columns:
            return
        wanted = max(columns, self.columns + GROWTH, self.columns * 5 // 4)
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_empty(self.slots, old.shape[1], wanted, old.shape[3])
            new[:rows, :, : self.columns] = old[:rows]
            # Zeros, since masked columns are read too, with a weight of zero.
            new[:rows, :, self.columns :] = 0.0
            new[rows:] = 0.0
            setattr(self, name, new)
        self.columns = wanted

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """What transformers calls. key_states, value_states: [rows, heads, tokens, head_dim]."""
        return self.write(key_states.transpose(1, 2), value_states.transpose(1, 2))

    def write(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write new columns for rows that stand side by side, at their positions; return what these rows may look at.

        keys, values: [rows, tokens, heads, head_dim] -> two of [rows, heads, window, head_dim].
        """
        assert self.keys is not None
        assert self.values is not None
        assert self.positions is not None
        assert self.rows is not None
        stop = self.first + keys.shape[0]
        self.reserve(self.visible, stop)
        self.keys[self.rows, :, self.positions] = keys.to(self.keys.dtype)
        self.values[self.rows, :, self.positions] = values.to(self.values.dtype)
        return self.keys[self.first : stop, :, : self.window], self.values[self.first : stop, :, : self.window]

    def insert(self, first: int, keys: Tensor, values: Tensor, source: Tensor) -> None:
        """Fill slots ``first ..`` with copies of prefilled prompts; ``source[j]`` is the prompt of the j-th new slot."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        self.reserve(keys.shape[2], first)
        self.visible = max(self.visible, keys.shape[2])  # a row may move before its first step
        assert self.keys is not None
        assert self.values is not None
        stop = first + source.shape[0]
        self.keys[first:stop, :, : keys.shape[2]] = keys[source].to(self.keys.dtype)
        self.values[first:stop, :, : keys.shape[2]] = values[source].to(self.values.dtype)

    def move(self, destination: Tensor, origin: Tensor) -> None:
        """Copy whole rows, to keep the running ones side by side."""
        assert self.keys is not None
        assert self.values is not None
        self.keys[destination, :, : self.visible] = self.keys[origin, :, : self.visible]
        self.values[destination, :, : self.visible] = self.values[origin, :, : self.visible]

    def begin_of(self, row: int, count: int) -> tuple[Tensor, Tensor]:
        """A row's first keys and values, not copied: two of [heads, columns, head_dim]."""
        assert self.keys is not None
        assert self.values is not None
        return self.keys[row, :, :count], self.values[row, :, :count]

    def put_back(self, row: int, kept: Tensor) -> None:
        """Fill a slot behind the running ones with what was taken out."""
        self.reserve(kept.shape[2], row)
        for name, copy in zip(("keys", "values"), kept, strict=True):
            getattr(self, name)[row, :, : kept.shape[2]] = copy

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.window, 0

    def get_seq_length(self) -> int:
        return self.window

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """A `SlotLayer` for each layer of the model, moving together.

    Args:
        dtype: what keys and values are kept as; default: as they come.
    """

    positions: Tensor
    window: int

    def __init__(self, layers: int, slots: int, dtype: torch.dtype | None = None) -> None:
        self.slot_layers = [SlotLayer(slots, dtype) for _ in range(layers)]
        super().__init__(layers=list(self.slot_layers))

    def step(self, positions: Tensor, slots: int | None = None) -> None:
        """Announce where the next token of each running row goes. positions: [rows].

        ``slots``: how many will be used from now on, if that is fewer: the others are given up when columns are added.
        """
        self._announce(0, positions[:, None])
        for layer in self.slot_layers:
            layer.visible = self.window
            layer.slots = slots or layer.slots

    def extend(self, first: int, positions: Tensor) -> None:
        """Announce several tokens for each of the rows from ``first`` on, and for no others. positions: [rows, tokens]."""
        self._announce(first, positions)
        for layer in self.slot_layers:
            layer.visible = max(layer.visible, self.window)

    def _announce(self, first: int, positions: Tensor) -> None:
        self.positions, self.window = positions, int(positions.max()) + 1
        rows = torch.arange(first, first + positions.shape[0], device=positions.device)[:, None]
        for layer in self.slot_layers:
            layer.first, layer.rows, layer.positions, layer.window = first, rows, positions, self.window

    def mask(self) -> Tensor:
        """Which columns each new token may look at: [rows, 1, tokens, window] bool."""
        columns = torch.arange(self.window, device=self.positions.device)
        return (columns <= self.positions[:, :, None])[:, None]

    def additive_mask(self, dtype: torch.dtype) -> Tensor:
        """The same as numbers to add to the attention scores."""
        mask = self.mask()
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)

    def insert(self, first: int, prefilled: DynamicCache, source: Tensor) -> None:
        for ours, theirs in zip(self.slot_layers, prefilled.layers, strict=True):
            assert isinstance(theirs, DynamicLayer)
            assert theirs.keys is not None
            assert theirs.values is not None
            ours.insert(first, theirs.keys, theirs.values, source)

    def move(self, destination: Tensor, origin: Tensor) -> None:
        for layer in self.slot_layers:
            layer.move(destination, origin)

    def take_out(self, row: int, columns: int) -> Tensor:
        """A copy of a row's first columns in every layer: [layers, 2, heads, columns, head_dim]."""
        kept = torch.stack([part for layer in self.slot_layers for part in layer.begin_of(row, columns)])
        return kept.unflatten(0, (-1, 2))

    def put_back(self, row: int, kept: Tensor) -> None:
        """What `take_out` gave, into the slot behind the running ones."""
        for layer, part in zip(self.slot_layers, kept, strict=True):
            layer.put_back(row, part)
