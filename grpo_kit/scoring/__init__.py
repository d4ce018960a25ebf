"""Runs verifiers over completions: worker processes, deadlines, abstention. See docs/verifiers.md."""

from .scorer import Scorer, VerifierSpec
from .work import ScoringError

__all__ = ["Scorer", "ScoringError", "VerifierSpec"]
