"""Shapes of the formulas' tensors, as annotations: a test runs every formula with sizes that all differ."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

Tokens = Annotated[Tensor, "tokens"]  # of a micro-batch, those of all its sequences in one row; or of one sequence
Kept = Annotated[Tensor, "tokens"]  # bool: which take part
Actions = Annotated[Tensor, "tokens vocabulary"]  # before each of these, every token that might come
Sequences = Annotated[Tensor, "sequences"]
Scores = Annotated[Tensor, "sequences parts"]  # parts: verifiers that the reward is of
Groups = Annotated[Tensor, "groups"]
Pairs = Annotated[Tensor, "pairs"]
Responses = Annotated[Tensor, "responses"]
Scalar = Annotated[Tensor, ""]
