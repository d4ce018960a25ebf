"""`grpo-kit config explain` and `grpo-kit metrics`: what a key of a recipe is, and what a number of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from grpo_kit.config.explain import Key


def show_key(wanted: str | None) -> None:
    """A key with all that is known of it; of a section, its keys; of nothing, the sections."""
    from grpo_kit.config.explain import all_keys, find_key, keys_below
    from grpo_kit.observe.tables import Column, show_table
    from grpo_kit.observe.terminal import line, open_console

    console = open_console()
    if wanted is None:
        keys = [key for key in all_keys().values() if "." not in key.name]
    else:
        key = find_key(wanted)
        _show(key)
        keys = keys_below(key) if key.section else []
    if keys:
        columns = [Column("key"), Column("default", spare=2), Column("what", words=True)]
        rows = [(one.name, one.default or "(must be given)", one.sentence) for one in keys]
        show_table(console, columns, rows, framed=False)
        line(console, "`grpo-kit config explain KEY` says more of one.")


def _show(key: Key) -> None:
    from grpo_kit.observe.terminal import line, open_console

    console = open_console()
    line(console, f"{key.name}: {key.sentence}")
    line(console, f"  {key.kind}; " + ("must be given" if key.default is None else f"default: {key.default}"))
    line(console, "  read by " + ", ".join(f"grpo_kit/{reader}" for reader in key.readers))
    if not key.section:
        resumed = (
            "a run may go on with another value" if key.safe else "fixed for a run: --resume refuses another value"
        )
        line(console, f"  {resumed}")


def metrics(
    name: Annotated[str | None, typer.Argument(help="a metric, or the beginning of several: kl [all of them]")] = None,
) -> None:
    """Say what a number of metrics.jsonl is: its unit, and which values are well or worrying."""
    from grpo_kit.observe.catalogue import CATALOGUE, find_metrics
    from grpo_kit.observe.tables import Column, show_table
    from grpo_kit.observe.terminal import line, open_console

    console = open_console()
    found = list(CATALOGUE) if name is None else find_metrics(name)
    if len(found) > 1:
        columns = [Column("metric"), Column("unit", spare=1), Column("what", words=True)]
        rows = [(metric.pattern, metric.unit, metric.what) for metric in found]
        show_table(console, columns, rows, framed=False)
        line(console, "`grpo-kit metrics NAME` says which values of one are well or worrying.")
        return
    (metric,) = found
    line(console, f"{metric.pattern}: {metric.what}" + (f" ({metric.unit})" if metric.unit else ""))
    for says, value in (("well", metric.healthy), ("worrying", metric.worrying)):
        if value:
            line(console, f"  {says}: {value}")
