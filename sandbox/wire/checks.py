"""Checks of results, as data, so that they can be made where they cost nobody anything: see `inside.child.run_checks`."""

from __future__ import annotations

from typing import Any

from . import calls, codec, compare, shown


def of_assert(
    test: str, entry_points: frozenset[str], foreign: frozenset[str], given: frozenset[str]
) -> dict[str, Any]:
    """The check that an assert test makes; `calls.plan` has the arguments."""
    names = {"entry_points": entry_points, "foreign": foreign, "given": given}
    return {"test": test, **{key: sorted(value) for key, value in names.items()}}


def accepted_outputs(test: dict[str, Any]) -> list[Any]:
    """Every output that a test takes for right."""
    first = [test[name] for name in ("output", "or_output") if name in test]
    return first + list(test.get("outputs") or ())


def of_function(name: str, test: dict[str, Any], tolerance: float | None) -> dict[str, Any]:
    """The check that a function test ({"input", "output", "or_output"?, "outputs"?}) makes."""
    return {
        "name": name,
        "input": codec.encode(list(test["input"])),
        "accepted": codec.encode(accepted_outputs(test)),
        "tolerance": tolerance,
    }


def judge(check: dict[str, Any], replies: list[list[Any]]) -> tuple[bool, str]:
    """(passed, reason) of one check with the encoded replies to its calls: ["value", data] or ["raised", description].

    Raises:
        NotCalls: see `Plan.judge`.
    """
    values = [calls.Raised(content) if kind == "raised" else codec.decode(content) for kind, content in replies]
    if "test" in check:
        plan = calls.plan(check["test"], *(frozenset(check[key]) for key in ("entry_points", "foreign", "given")))
        assert plan is not None
        return plan.judge(values)
    accepted = codec.decode(check["accepted"])
    return judge_function(check["name"], codec.decode(check["input"]), accepted, check["tolerance"], values[0])


def judge_function(
    name: str, arguments: list[Any], accepted: list[Any], tolerance: float | None, value: Any
) -> tuple[bool, str]:
    """(passed, reason) of a result that must be one of the accepted ones."""
    asked = f"{name}({', '.join(shown.show(a) for a in arguments)})"
    if isinstance(value, calls.Raised):
        return False, f"{asked} raised {value}"
    if any(compare.same_value(value, wanted, tolerance) for wanted in accepted):
        return True, ""
    return False, f"{asked} returned {shown.show(value)}"
