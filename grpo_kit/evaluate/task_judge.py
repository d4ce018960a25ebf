"""Who says what is right of an evaluation task: its verifier, or the environment of its episodes by what it paid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.environments.lookup import get_environment
from grpo_kit.environments.opening import check_pays, outcome_of
from grpo_kit.errors import UserError
from grpo_kit.scoring import Scorer, VerifierSpec
from grpo_kit.verifiers import get_verifier

from .records import Record
from .score import vote
from .tasks import EvalTask
from .votes import ProblemKey, Votes


@dataclass(frozen=True)
class TaskJudge:
    """Attributes:
    verifier: None where ``environment`` judges.
    """

    verifier: VerifierSpec | None
    environment: EnvironmentConfig | None

    @classmethod
    def of(cls, task: EvalTask) -> TaskJudge:
        named = task.verifier
        if named is None:
            return cls(None, task.environment)
        return cls(VerifierSpec(named.name, named.weight, named.options, named.timeout), None)

    @property
    def name(self) -> str:
        return self.verifier.name if self.verifier is not None else str(self.environment and self.environment.name)

    def check(self) -> None:
        """Raises UserError where it cannot be found or lacks an option."""
        try:
            if self.verifier is not None:
                get_verifier(self.verifier.name).with_options(self.verifier.options)
            elif self.environment is not None:
                check_pays(self.environment)
        except UserError as error:
            raise UserError(f"{'environment' if self.verifier is None else 'verifier'}: {error}") from error

    def open(self, workers: int, traceback_dir: Path | None = None) -> Scorer:
        """A scorer whose verdict is this judge's alone."""
        if self.verifier is not None:
            return Scorer([self.verifier], workers=workers, traceback_dir=traceback_dir)
        paid = outcome_of(self.environment)
        assert paid is not None  # `EvalTask` has one of both
        return Scorer(
            [], workers=0, traceback_dir=traceback_dir, outcome=(paid[0], 1.0)
        )  # right is what it pays, unweighted

    def protocol(self) -> dict[str, Any]:
        """Name, version and options."""
        if self.verifier is None:
            assert self.environment is not None
            found = get_environment(str(self.environment.name), options=self.environment.options)
            return {"name": found.name, "version": found.version, "options": self.environment.options}
        with Scorer([self.verifier], workers=0) as scorer:
            (version,) = scorer.versions().values()
        return {"name": self.verifier.name, "version": version, "options": self.verifier.options}

    def votes(self, records: Sequence[Record], workers: int) -> dict[ProblemKey, Votes] | None:
        """Votes for maj@k; None where no answers are extracted that could agree with each other."""
        return None if self.verifier is None else vote(records, self.verifier, workers)
