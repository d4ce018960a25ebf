"""Python's comparisons, by their names in `operator`."""

from __future__ import annotations

# What says the same of the two objects where they change places.
SWAPPED = {"eq": "eq", "ne": "ne", "lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}
# What is never true together with it.
EXCLUDED = {"eq": ("ne",), "ne": ("eq",), "lt": ("gt", "ge"), "gt": ("lt", "le"), "le": ("gt",), "ge": ("lt",)}
COMPARISONS = tuple(SWAPPED)
ORDERS = tuple(name for name in COMPARISONS if name not in ("eq", "ne"))
