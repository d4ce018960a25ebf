"""Runs verifiers over completions: worker processes, deadlines, abstention. See docs/verifiers.md."""

from .scorer import Cluster, Scorer, VerifierSpec
from .work import ScoringError

__all__ = ["Cluster", "Scorer", "ScoringError", "VerifierSpec"]
