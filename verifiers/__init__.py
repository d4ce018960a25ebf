"""Verifiers decide whether a response is right. See docs/verifiers.md."""

from grpo_kit.types import Score

from .base import Verifier, VerifierError
from .lookup import get_verifier
from .register import REGISTRY, from_function, verifier

__all__ = ["REGISTRY", "Score", "Verifier", "VerifierError", "from_function", "get_verifier", "verifier"]
