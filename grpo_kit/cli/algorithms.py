"""`grpo-kit algorithms`: the table, as it stands in the code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from grpo_kit.objective.rows import Algorithm


def algorithms(
    name: Annotated[str | None, typer.Argument(help="one algorithm: every choice of its row")] = None,
) -> None:
    """Print the table of algorithms, or every choice of one of them."""
    if name is None:
        _show_table()
    else:
        _show_row(name)


def _show_table() -> None:
    from grpo_kit.objective.algorithms import ALGORITHMS
    from grpo_kit.observe.tables import Column, show_table
    from grpo_kit.observe.terminal import line, open_console

    columns = (
        Column("name"),
        Column("paper", spare=2),
        Column("ratio", spare=5),
        Column("surrogate", words=True),
        Column("clip", spare=4),
        Column("baseline / scale", words=True),
        Column("returns", spare=7),
        Column("aggregation", spare=1),
        Column("KL", words=True, spare=3),
        Column("needs", words=True, spare=6),
    )
    console = open_console()
    rows = [(key, row.paper, *_cells(row)) for key, row in ALGORITHMS.items()]
    show_table(console, columns, rows, framed=False)
    line(console, "`grpo-kit algorithms NAME` shows all of a row; objective.KEY=VALUE of a recipe changes any of it.")


_CLIPS = ("ppo_clip", "cispo", "geometric_clip", "aspo")


def _cells(row: Algorithm) -> tuple[str, ...]:
    """The columns after name and paper."""
    needs = ", ".join(row.needs()) or "-"
    if row.family in ("pairs", "labels", "reward_model"):
        loss = {"pairs": f"pairs: {row.pair_loss}", "labels": "labels: kto", "reward_model": "pairs: bradley_terry"}
        kl = f"implicit, beta {row.beta:g}" if row.needs_reference else "-"
        return "-", loss[row.family], "-", "-", "-", "-", kl, needs
    if row.learns_values:
        form = f"{row.action_values}, {row.value_temperature:g}"
        ahead = f"lambda {row.trace:g}" if row.bootstrap_steps is None else f"{row.bootstrap_steps} tokens"
        return "-", f"values: {row.bootstrap}", "-", form, ahead, row.aggregation, "-", needs
    clip = f"{row.clip_low:g} / {row.clip_high:g}" if row.surrogate in _CLIPS else "-"
    kl = f"{row.kl_estimator} in {row.kl_place}, {row.beta:g}" if row.beta else "-"
    surrogate = row.surrogate if row.selection == "all" else f"{row.surrogate}, {row.selection}"
    compared = [row.shape] * row.reads_marks + [row.combine] * row.reads_parts
    advantage = ", ".join([*compared, f"{row.baseline} / {row.scale}"])
    return row.ratio_level, surrogate, clip, advantage, row.returns, row.aggregation, kl, needs


def _show_row(name: str) -> None:
    from grpo_kit.errors import UserError
    from grpo_kit.objective.algorithms import ALGORITHMS
    from grpo_kit.objective.rows import Objective
    from grpo_kit.observe.tables import Column, show_table
    from grpo_kit.observe.terminal import line, open_console
    from grpo_kit.runtime.suggest import did_you_mean

    if name not in ALGORITHMS:
        raise UserError(
            f"there is no algorithm {name!r}; there are {', '.join(ALGORITHMS)}.{did_you_mean(name, ALGORITHMS)}"
        )
    row = ALGORITHMS[name]
    console = open_console()
    line(console, f"{name} ({row.paper}): {row.summary}")
    choices = [
        (key, _as_in_a_recipe(getattr(row, key)), field.description or "")
        for key, field in Objective.model_fields.items()
    ]
    needs = ", ".join(row.needs()) or "nothing but the policy and a verifier"
    columns = (Column("choice"), Column("value"), Column("what it is", words=True))
    show_table(console, columns, choices, framed=False, heading=False)
    line(console, f"needs: {needs}")


def _as_in_a_recipe(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
