"""The final answer of a response: one reading for every verifier. See docs/verifiers.md."""

from .box import boxes
from .find import UNMARKED, final_answer
from .kinds import FinalAnswer, Kind, Reading
from .letter import LETTER
from .marks import bare
from .tag import tags
from .text import TEXT
from .value import value_kind
from .visible import after_reasoning

__all__ = [
    "LETTER", "TEXT", "UNMARKED", "FinalAnswer", "Kind", "Reading", "after_reasoning", "bare", "boxes", "final_answer", "tags",
    "value_kind",
]  # fmt: skip
