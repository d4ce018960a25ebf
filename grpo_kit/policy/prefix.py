"""One prompt, several completions: the prompt's tokens go through the model once, and each completion attends to them.

A group of G answers to one prompt of P tokens is a tree: G branches of one trunk. Its tokens lie one after another in one
row (the trunk, then the branches), each token has the position that it would have in a sequence of its own, and attention
alone must know the tree. So P + G C tokens go through the matrix products of the model in place of G (P + C), forward and
backward; what is computed, and its gradient, is the same (law 14).

Attention is done in two pieces without a mask of row by row: trunks among themselves, and branches, whose keys are their
trunk's and their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from .moving import moved


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """Where the trunks and the branches of a row are.

    Attributes:
        position_ids: [1, tokens] the position of each token in a sequence of its own.
        trunks: [groups, P] indices into the row, padded on the right with 0, the longest trunk being P tokens.
        branches: [groups, G, C] likewise, with branches of no tokens where a group has fewer than G.
        visible: [groups * G, 1, C, P + C] bool: which of its trunk's tokens and its own each token of a branch attends to.
        places: [tokens] where each token of the row is in the trunks and branches, laid out one after another.
    """

    position_ids: Tensor
    trunks: Tensor
    branches: Tensor
    visible: Tensor
    places: Tensor

    @classmethod
    def of(cls, groups: Sequence[tuple[int, Sequence[int]]], device: torch.device | str = "cpu") -> PrefixTree:
        """The tree of groups that lie one after another. groups: tokens of the trunk, and of each branch."""
        longest = max(trunk for trunk, _ in groups)
        most = max(len(branches) for _, branches in groups)
        longest_branch = max(length for _, branches in groups for length in branches)
        positions: list[int] = []
        trunks: list[int] = []
        branches_at: list[int] = []
        # Where each token of the row will be, in the order of the row: trunks are laid out before all branches.
        places: list[int] = []
        for group, (trunk, branches) in enumerate(groups):
            places += range(group * longest, group * longest + trunk)
            trunks += _padded(range(len(positions), len(positions) + trunk), longest)
            positions += range(trunk)
            for number in range(most):
                length = branches[number] if number < len(branches) else 0
                first = len(groups) * longest + (group * most + number) * longest_branch
                places += range(first, first + length)
                branches_at += _padded(range(len(positions), len(positions) + length), longest_branch)
                positions += range(trunk, trunk + length)
        in_trunk = torch.arange(longest) < torch.tensor([trunk for trunk, _ in groups])[:, None]
        causal = torch.ones(longest_branch, longest_branch, dtype=torch.bool).tril()
        shape = (len(groups), most, longest_branch)
        visible = torch.cat([in_trunk[:, None, None].expand(*shape, -1), causal.expand(*shape, -1)], dim=-1)
        return cls(
            moved(torch.tensor([positions]), device),
            moved(torch.tensor(trunks).view(len(groups), longest), device),
            moved(torch.tensor(branches_at).view(shape), device),
            moved(visible.flatten(0, 1)[:, None], device),
            moved(torch.tensor(places), device),
        )

    @torch.compiler.disable  # what depends on the shape of a tree would be compiled for each; its products are fused as they are
    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        """Attention of a row over its tree.

        Args:
            query: [1, heads, tokens, width]; key, value: [1, key heads, tokens, width], fewer heads where queries share them.

        Returns:
            [1, tokens, heads, width].
        """
        shared = query.shape[1] != key.shape[1]
        (groups, _), (_, most, _) = self.trunks.shape, self.branches.shape
        # [groups, heads, P, width] and [groups, G, heads, C, width]. Every real token is taken once, so that the
        # gradient of taking is a copy, and not a sum in an order that a GPU leaves open.
        trunk_query, trunk_key, trunk_value = (_taken(x, self.trunks) for x in (query, key, value))
        branch_query, branch_key, branch_value = (_taken(x, self.branches) for x in (query, key, value))
        of_trunks = scaled_dot_product_attention(
            trunk_query, trunk_key, trunk_value, is_causal=True, scale=scale, enable_gqa=shared
        )

        def with_trunk(trunk: Tensor, branch: Tensor) -> Tensor:
            every = trunk[:, None].expand(groups, most, *trunk.shape[1:])
            return torch.cat([every, branch], dim=3).flatten(0, 1)

        of_branches = scaled_dot_product_attention(
            branch_query.flatten(0, 1),
            with_trunk(trunk_key, branch_key),
            with_trunk(trunk_value, branch_value),
            attn_mask=self.visible,
            scale=scale,
            enable_gqa=shared,
        )
        heads, width = query.shape[1], value.shape[-1]
        laid_out = torch.cat([x.transpose(1, 2).reshape(-1, heads, width) for x in (of_trunks, of_branches)])
        return laid_out.index_select(0, self.places)[None]


def _padded(indices: range, length: int) -> list[int]:
    return [*indices, *[0] * (length - len(indices))]


def _taken(states: Tensor, indices: Tensor) -> Tensor:
    """[1, heads, tokens, width] at indices [..., length] -> [..., heads, length, width]."""
    chosen = states[0].transpose(0, 1).index_select(0, indices.flatten())
    return chosen.view(*indices.shape, *chosen.shape[1:]).transpose(-3, -2)
