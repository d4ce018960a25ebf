"""Names of other harnesses' tasks, ``lm_eval:NAME`` and ``inspect:FILE.py@TASK``, and where the bridge to each is."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from grpo_kit.errors import UserError


@dataclass(frozen=True)
class Harness:
    """package: what it is imported as; distribution: what pip calls it; extra: of this kit's; room: where its bridge is."""

    package: str
    distribution: str
    extra: str
    room: str


HARNESSES = {
    "lm_eval": Harness("lm_eval", "lm-eval", "lm-eval", "grpo_kit.compat.lm_eval.run"),
    "inspect": Harness("inspect_ai", "inspect-ai", "inspect", "grpo_kit.compat.inspect_ai.run"),
}


@dataclass(frozen=True)
class ForeignTask:
    """``harness:name@variant``."""

    harness: str
    name: str
    variant: str

    @classmethod
    def read(cls, text: str) -> ForeignTask | None:
        """A task of another harness; None for one of this kit's."""
        harness, colon, rest = text.partition(":")
        if not colon or harness not in HARNESSES:
            return None
        name, _, variant = rest.partition("@")
        if not name:
            raise UserError(f"--tasks {text}: name a task behind {harness}:")
        return cls(harness, name, variant)


def require(harness: str) -> None:
    """Raises UserError where a harness is not installed."""
    known = HARNESSES[harness]
    if find_spec(known.package) is None:
        raise UserError(
            f'--tasks {harness}:...: {known.distribution} is not installed: pip install "grpo-kit[{known.extra}]"'
        )
