"""Charts of a run's data: each of several data sets, and what a sampler that learns knows of the prompts."""

from __future__ import annotations

import re

from .chart import Panel, Series, Table, band

POOLS = {"unseen": "unseen", "hard": "too hard", "between": "between", "easy": "too easy"}


def data_set_names(table: Table) -> list[str]:
    """The data sets of a mixture; empty where a run has one."""
    return [m[1] for name in table.names("data/") if (m := re.fullmatch(r"data/([^/]+)/prompts", name))]


def data_panels(table: Table) -> list[Panel]:
    names = data_set_names(table)

    def of_each(metric: str) -> list[Series]:
        return [Series(name, table.column(f"data/{name}/{metric}")) for name in names]

    held_out = [
        band(name, table.column(f"eval/{name}/sampled"), table.column(f"eval/{name}/sampled_error")) for name in names
    ]
    panels = [
        Panel("Data", "Held-out accuracy", table.x, held_out, y_label="sampled answers", shown_as="percent"),
        Panel("Data", "Right in training", table.x, of_each("right"), y_label="share of responses", shown_as="percent"),
        Panel("Data", "Reward", table.x, of_each("reward"), y_label="mean reward"),
        Panel("Data", "Length", table.x, of_each("length"), y_label="tokens of a response"),
        Panel("Data", "Groups with right and wrong", table.x, of_each("mixed_groups"), y_label="share", shown_as="percent"),
    ]  # fmt: skip
    for prefix, title in [("", "Prompts"), *((f"data/{name}/", f"Prompts of {name}") for name in names)]:
        pools = [Series(word, table.column(f"{prefix}curriculum/{pool}")) for pool, word in POOLS.items()]
        panels.append(Panel("Data", title, table.x, pools, y_label="share of prompts", shown_as="percent"))
    return panels
