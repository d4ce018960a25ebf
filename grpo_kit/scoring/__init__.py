"""Runs verifiers over completions: worker processes, deadlines, abstention. See docs/verifiers.md."""

from .scorer import TASK_KEY, Cluster, OfDataSet, Scorer, VerifierSpec
from .work import ScoringError

__all__ = ["TASK_KEY", "Cluster", "OfDataSet", "Scorer", "ScoringError", "VerifierSpec"]
