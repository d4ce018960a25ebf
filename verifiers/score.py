"""Score: what a verifier says about one response."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "abstain", "error", "timeout"]


def plain_number(value: Any) -> Any:
    """A scalar of NumPy or torch, or an array of one number, as the Python number it is; anything else as it is."""
    if hasattr(value, "item") and tuple(getattr(value, "shape", (0, 0))) in ((), (1,)):
        return value.item()
    return value


def numbers_in(values: Mapping[Any, Any]) -> dict[str, float]:
    """The entries that are numbers, of Python, NumPy or torch."""
    plain = ((name, plain_number(value)) for name, value in values.items())
    return {str(name): float(value) for name, value in plain if isinstance(value, (bool, int, float))}


@dataclass(frozen=True, slots=True)
class Score:
    """One verifier's judgement of one response.

    ``value`` is meaningful only when ``status`` is ``"ok"``. A verifier that has no opinion abstains; one that
    crashed or ran out of time is an ``error`` or a ``timeout``. None of the three is a zero: such a response
    takes no part in its group's baseline or in the loss.

    Attributes:
        value: the reward, on the verifier's own scale; must be finite.
        status: ``ok``, ``abstain``, ``error`` or ``timeout``.
        extracted: the answer that was found in the response, as text, for the rollout log.
        reason: one line for a human: why this value, or what went wrong.
        metrics: numbers to average over the batch (for example the share of tests that passed).
    """

    value: float = 0.0
    status: Status = "ok"
    extracted: str | None = None
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            raise TypeError(f"Score.value must be a number, got {type(self.value).__name__}: {self.value!r}")
        if not math.isfinite(self.value):
            raise ValueError(f"Score.value must be finite, got {self.value!r}")
        if self.status not in ("ok", "abstain", "error", "timeout"):
            raise ValueError(f"Score.status must be ok, abstain, error or timeout, got {self.status!r}")
        for name, number in self.metrics.items():
            if not isinstance(number, (int, float)) or not math.isfinite(number):
                raise ValueError(f"Score.metrics[{name!r}] must be a finite number, got {number!r:.100}")

    @property
    def counts(self) -> bool:
        """Whether this score takes part in baselines and losses."""
        return self.status == "ok"

    @property
    def right(self) -> bool:
        """Full marks: what "right" means wherever a judge's score is read. An abstention is neither right nor wrong."""
        return self.counts and self.value >= 1.0

    @classmethod
    def abstain(cls, reason: str = "") -> Score:
        return cls(0.0, "abstain", reason=reason)

    @classmethod
    def from_result(cls, result: Any) -> Score:
        """Read what a verifier function returned: bool, number, dict, Score or None.

        A dict holds ``score`` (or ``value``) and optionally ``extracted``, ``reason`` and ``metrics``; its other
        numeric entries become metrics. None abstains.

        Raises:
            TypeError, ValueError: for anything else, including NaN and infinity.
        """
        if isinstance(result, cls):
            return result
        if result is None:
            return cls.abstain("the verifier returned None")
        if isinstance(result, dict):
            return cls._from_dict(result)
        result = plain_number(result)
        if isinstance(result, bool):
            return cls(1.0 if result else 0.0)
        if isinstance(result, (int, float)):
            return cls(float(result))
        raise TypeError(
            f"a verifier must return bool, float, dict, Score or None; got {type(result).__name__}: {result!r:.200}"
        )

    @classmethod
    def _from_dict(cls, result: dict[str, Any]) -> Score:
        key = next((name for name in ("score", "value", "reward") if name in result), None)
        if key is None and result.get("status") == "abstain":
            return cls.abstain(str(result.get("reason", "")))
        if key is None:
            raise ValueError(f"a verifier's dict needs a 'score'; got the keys {sorted(map(str, result))}")
        if isinstance(result[key], dict):
            raise TypeError(f"a verifier's dict needs a number under {key!r}; got another dict")
        inner = cls.from_result(result[key])
        known = {key, "status", "extracted", "reason", "metrics"}
        metrics = {str(k): float(v) for k, v in (result.get("metrics") or {}).items()}
        metrics |= numbers_in({k: v for k, v in result.items() if k not in known})
        extracted = result.get("extracted")
        return cls(
            inner.value,
            result.get("status", inner.status),
            None if extracted is None else str(extracted),
            str(result.get("reason", inner.reason)),
            metrics,
        )
