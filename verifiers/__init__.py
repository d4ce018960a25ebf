"""Verifiers decide whether a response is right. See docs/verifiers.md."""

from . import code  # noqa: F401 - registers
from .base import REGISTRY, Verifier, VerifierError, from_function, get_verifier, verifier
from .score import Score

__all__ = ["REGISTRY", "Score", "Verifier", "VerifierError", "from_function", "get_verifier", "verifier"]
