"""Objects of the library that are what their text says, and never change: a UUID, an address, a range of any length.

They go over by it, both ways.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ..wire import codec

_KINDS = {
    "builtins": ("range",),
    "uuid": ("UUID",),
    "ipaddress": ("IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network", "IPv4Interface", "IPv6Interface"),
}
_LONGEST = 200  # an address with its scope, three long numbers


def stated(value: Any) -> list[str] | None:
    """[module, class, text]; None for what is none of these. A class that is derived from one may say something else."""
    kind = type(value)
    module, name = kind.__module__, kind.__name__
    if name not in _KINDS.get(module, ()) or getattr(sys.modules.get(module), name, None) is not kind:
        return None
    text = f"{value.start} {value.stop} {value.step}" if kind is range else str(value)
    return [module, name, text] if len(text) <= _LONGEST else None


def of_text(module: Any, name: Any, text: Any) -> Any:
    """Raises Malformed for what `stated` does not write."""
    if type(module) is not str or name not in _KINDS.get(module, ()) or type(text) is not str or len(text) > _LONGEST:
        raise codec.Malformed("not an object of the library")
    try:
        parts = map(int, text.split(" ")) if name == "range" else (text,)
        return getattr(importlib.import_module(module), name)(*parts)
    except (ValueError, TypeError):
        raise codec.Malformed(f"not a {name}") from None
