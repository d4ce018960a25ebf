"""The final answer of a response: one reading for every verifier. See docs/verifiers.md."""

from .box import boxes
from .kinds import TEXT, FinalAnswer, Kind
from .statement import after_reasoning, bare, final_answer

__all__ = ["TEXT", "FinalAnswer", "Kind", "after_reasoning", "bare", "boxes", "final_answer"]
