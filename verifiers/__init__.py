"""Verifiers decide whether a response is right. See docs/verifiers.md."""

<<<<<<< HEAD
from .base import REGISTRY, Verifier, VerifierError, from_function, verifier
from .lookup import get_verifier
=======
from . import code  # noqa: F401 - registers
from .base import REGISTRY, Verifier, VerifierError, from_function, get_verifier, verifier
>>>>>>> sandbox
from .score import Score

from . import math as math  # isort: skip  # registers the verifier "math"

__all__ = ["REGISTRY", "Score", "Verifier", "VerifierError", "from_function", "get_verifier", "verifier"]
