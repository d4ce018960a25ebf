"""What a CPU process holds beyond its tensors: holes in glibc's heap, and products that oneDNN has compiled.

Tensors are aligned to 64 bytes, and for such a request glibc looks for a block that is larger by the alignment, cuts it, and
gives the ends back. So the hole that a tensor leaves is too small for the next tensor of its size, until a neighbour has
gone as well. `MALLOC_MMAP_THRESHOLD_=1048576` maps each tensor on its own instead, at the price of more CPU time.
"""

from __future__ import annotations

from .shape import ModelShape

MAPPED = (
    32 * 2**20
)  # bytes: from here on glibc maps a block on its own and gives it back at once, if no hole is large enough
# Of what is in use in a heap whose requests seldom fit a hole exactly, once as much comes as goes: the fifty-per-cent rule
# (D. E. Knuth, The Art of Computer Programming, vol. 1, section 2.5), for blocks and holes of like size.
HOLES = 0.5
COMPILED, PRODUCT = 1024, 2 * 258_560  # oneDNN's default number of cached products, and bytes of one (for AMX)


def holes(shape: ModelShape, tokens: int, activations: int, *, half: bool, checkpointing: bool, adapters: bool) -> int:
    """Bytes of the heap that are free and of no use when a micro-batch of ``tokens`` has gone forwards."""
    width, stream = 2 if half else 4, 4 * shape.hidden
    if tokens * stream >= MAPPED:
        # Of what is in bfloat16 the blocks are half as large as those of the stream.
        narrow = 2 * (5 * shape.hidden + shape.query) if half and tokens * stream < 2 * MAPPED else 0
        return int(HOLES * tokens * shape.layers * narrow)
    # A matrix with adapters makes its output and a second one to add; the narrow result between, which is kept, holds the
    # places of the two apart.
    outputs = width * sum(o for _, o in shape.linears) if adapters else 0
    if checkpointing:
        # What each layer made on the way lies between two activations that stay; one is filled while it is made again.
        between = width * (4 if shape.gate else 2) * shape.intermediate + 2 * stream + outputs
        return tokens * (shape.layers - 1) * between
    return int(HOLES * activations) + tokens * shape.layers * outputs  # joined holes take in the larger blocks too


def compiled(rows: int) -> int:
    """Bytes of the products in bfloat16 that are kept compiled: one for each number of rows and each kind of matrix."""
    kinds = 5  # query with key and value, output, gate with up, down, head
    return min(COMPILED, kinds * rows) * PRODUCT
