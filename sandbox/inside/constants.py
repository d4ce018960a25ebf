"""Attributes of the task's classes by which its code decides, and that are not the program's to set in an object."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection, Iterable


def constants(classes: Iterable[type], assigned: Collection[str], read: Collection[str] | None) -> dict[str, bool]:
    """What the classes hold themselves, however it came there, and nobody sets in an object.

    Args:
        assigned: attributes that the setup or the tests set in an object.
        read: attributes that the setup's code reads; None: any, by name.

    Returns:
        For each whether it holds a place for objects of the task (``left = right = None``).
    """
    found: dict[str, bool] = {}
    for kind in classes:
        fields = {f.name for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
        for base in kind.__mro__[:-1]:
            private = f"_{base.__name__.lstrip('_')}__"
            for name, held in base.__dict__.items():
                written = f"__{name.removeprefix(private)}" if name.startswith(private) else name
                if (written.startswith("__") and written.endswith("__")) or name in fields or written in assigned:
                    continue
                if inspect.isdatadescriptor(held):  # a slot, for one: the class holds no value there
                    continue
                if read is None or written in read:
                    found.setdefault(name, held is None)
    return found
