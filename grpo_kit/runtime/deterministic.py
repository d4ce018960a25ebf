"""Kernels that give the same result every time, where torch has them."""

from __future__ import annotations

import os


def use_deterministic_kernels() -> None:
    """From here on in this process: an operation that has none ends in torch's error, which names it.

    cuBLAS is deterministic with a workspace of its own, which it reads before its first product.
    """
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
