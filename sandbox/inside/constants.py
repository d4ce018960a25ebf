"""Attributes of the task's classes by which its code decides, and that are not the program's to set in an object."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection, Iterable


def constants(
    classes: Collection[type], assigned: Collection[str], read: Collection[str] | None, defaulted: Iterable[str] = ()
) -> dict[str, bool]:
    """What the classes hold themselves, however it came there, or have a default for, and nobody sets in an object.

    Args:
        assigned: attributes that the setup or the tests set in an object.
        read: attributes that the setup's code reads; None: any, by name.
        defaulted: attributes that their methods read where there are any.

    Returns:
        For each whether it holds a place for objects of the task (``left = right = None``).
    """
    places = {name for kind in classes for name in _places(kind)}
    found = {name: False for name in defaulted if name not in places}
    for kind in classes:
        fields = _places(kind)
        for base in kind.__mro__[:-1]:
            private = f"_{base.__name__.lstrip('_')}__"
            for name, held in base.__dict__.items():
                written = f"__{name.removeprefix(private)}" if name.startswith(private) else name
                if (written.startswith("__") and written.endswith("__")) or name in fields or written in assigned:
                    continue
                if read is None or written in read:
                    found.setdefault(name, held is None)
    return found


def _places(kind: type) -> set[str]:
    """Attributes of which the class says that its objects have them: fields of a data class, and slots."""
    described = {
        name for base in kind.__mro__ for name, held in base.__dict__.items() if inspect.isdatadescriptor(held)
    }
    return described | ({f.name for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set())
