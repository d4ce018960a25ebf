"""Verifiers decide whether a response is right. See docs/verifiers.md."""

from grpo_kit.types import Score

from .base import REGISTRY, Verifier, VerifierError, from_function, verifier
from .lookup import get_verifier

__all__ = ["REGISTRY", "Score", "Verifier", "VerifierError", "from_function", "get_verifier", "verifier"]
