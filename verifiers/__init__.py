"""Verifiers decide whether a response is right. See docs/verifiers.md."""

from .base import REGISTRY, Verifier, VerifierError, from_function, verifier
from .lookup import get_verifier
from .score import Score

__all__ = ["REGISTRY", "Score", "Verifier", "VerifierError", "from_function", "get_verifier", "verifier"]
