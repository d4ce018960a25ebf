"""`grpo-kit algorithms`: the table, as it stands in the code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from grpo_kit.objective.algorithms import Algorithm

COLUMNS = ("name", "paper", "ratio", "surrogate", "clip", "baseline / scale", "returns", "aggregation", "KL", "needs")


def algorithms(
    name: Annotated[str | None, typer.Argument(help="one algorithm: every choice of its row")] = None,
) -> None:
    """Print the table of algorithms, or every choice of one of them."""
    if name is None:
        _show_table()
    else:
        _show_row(name)


def _show_table() -> None:
    from rich.console import Console
    from rich.table import Table

    from grpo_kit.objective.algorithms import ALGORITHMS

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for key, row in ALGORITHMS.items():
        table.add_row(key, row.paper, *_cells(row))
    console.print(table)
    console.print(
        "`grpo-kit algorithms NAME` shows all of a row; objective.KEY=VALUE of a recipe changes any of it.",
        markup=False,
    )


def _cells(row: Algorithm) -> tuple[str, ...]:
    """The columns after name and paper."""
    needs = ", ".join(row.needs()) or "-"
    if row.family != "policy_gradient":
        loss = {"pairs": f"pairs: {row.pair_loss}", "labels": "labels: kto", "reward_model": "pairs: bradley_terry"}
        kl = f"implicit, beta {row.beta:g}" if row.needs_reference else "-"
        return "-", loss[row.family], "-", "-", "-", "-", kl, needs
    clip = f"{row.clip_low:g} / {row.clip_high:g}" if row.surrogate in ("ppo_clip", "cispo") else "-"
    kl = f"{row.kl_estimator} in {row.kl_place}, {row.beta:g}" if row.beta else "-"
    surrogate = row.surrogate if row.selection == "all" else f"{row.surrogate}, {row.selection}"
    return row.ratio_level, surrogate, clip, f"{row.baseline} / {row.scale}", row.returns, row.aggregation, kl, needs


def _show_row(name: str) -> None:
    import difflib
    from dataclasses import fields

    from grpo_kit.errors import UserError
    from grpo_kit.objective.algorithms import ALGORITHMS

    if name not in ALGORITHMS:
        close = difflib.get_close_matches(name, ALGORITHMS, 1, 0.4)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UserError(f"there is no algorithm {name!r}; there are {', '.join(ALGORITHMS)}.{hint}")
    row = ALGORITHMS[name]
    typer.echo(f"{name} ({row.paper}): {row.summary}")
    for field in fields(row):
        if field.name not in ("paper", "summary"):
            typer.echo(f"  {field.name:<16} {getattr(row, field.name)}")
    typer.echo(f"  {'needs':<16} {', '.join(row.needs()) or 'nothing but the policy and a verifier'}")
