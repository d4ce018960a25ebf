"""`GRPOConfig` without TRL: the fields that the mapping knows, and which of them were given."""

from __future__ import annotations

import dataclasses
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.runtime.suggest import did_you_mean

from .fields import fields_of

KNOWN = fields_of("grpo")
NOT_TOLD_APART = ("bf16", "fp16", "use_cpu")  # of TRL's own object: what a machine can do is refused when it is made
COMPUTED = ("generation_batch_size",)  # TRL fills it in from the other three batch sizes


class GRPOConfig:
    """The settings of `GRPOTrainer`, by TRL 1.16's names and with its defaults.

    A field that was not given reads as TRL's default; one may be set afterwards (``args.seed = 3``).

    Raises:
        UserError: TRL's configuration has a field of that name and the kit's mapping does not, or neither has.
    """

    _given: dict[str, Any]

    def __init__(self, output_dir: str | None = None, **settings: Any) -> None:
        object.__setattr__(self, "_given", {})
        for name, value in {"output_dir": output_dir, **settings}.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in KNOWN:
            raise UserError(
                f"GRPOConfig: the mapping of TRL's fields has no {name!r}, so nothing here would go by it."
                f"{did_you_mean(name, KNOWN)} docs/from_trl.md lists them"
            )
        self._given[name] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in KNOWN:
            raise AttributeError(f"GRPOConfig has no field {name!r}")
        return self._given.get(name, KNOWN[name].default_of("grpo"))

    def __repr__(self) -> str:
        return f"GRPOConfig({', '.join(f'{name}={value!r}' for name, value in self._given.items())})"


def given_settings(args: Any) -> dict[str, Any]:
    """The fields of a configuration that were given another value than TRL's default, by name.

    Args:
        args: this module's `GRPOConfig`, or TRL's own object.

    Raises:
        UserError: it is neither.
    """
    if isinstance(args, GRPOConfig):
        return dict(args._given)
    if not (dataclasses.is_dataclass(args) and type(args).__module__.partition(".")[0] == "trl"):
        raise UserError(
            f"GRPOTrainer: args is {type(args).__name__}; give a GRPOConfig, of grpo_kit.compat.trl or of trl. A subclass is "
            "code of its own"
        )
    if type(args).__name__ != "GRPOConfig":
        raise UserError(
            f"GRPOTrainer: args is TRL's {type(args).__name__}, and GRPO takes a GRPOConfig. For another method: "
            "`grpo-kit import trl`"
        )
    theirs: Any = args
    # What TRL computes when it is made (enums, a folder, the batch) is computed in a second one of defaults alike.
    machine = {name: getattr(theirs, name) for name in NOT_TOLD_APART}
    usual = type(theirs)(output_dir=theirs.output_dir, **machine)
    found = {}
    for one in dataclasses.fields(theirs):
        value = getattr(theirs, one.name)
        if not one.name.startswith("_") and one.name not in COMPUTED and value != getattr(usual, one.name):
            found[one.name] = getattr(value, "value", value)
    if theirs.steps_per_generation == theirs.gradient_accumulation_steps:
        found.pop("steps_per_generation", None)
    if theirs.fp16 or theirs.use_cpu:
        found |= {name: True for name in ("fp16", "use_cpu") if machine[name]}
    elif not theirs.bf16:
        found["bf16"] = False
    return {"output_dir": theirs.output_dir, **found}
