"""Objects of the library that are what their text says, and never change: a UUID, an address. They go over by it, both ways."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ..wire import codec

_KINDS = {
    "uuid": ("UUID",),
    "ipaddress": ("IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network", "IPv4Interface", "IPv6Interface"),
}
_LONGEST = 200  # an address with its scope


def stated(value: Any) -> list[str] | None:
    """[module, class, text]; None for what is none of these. A class that is derived from one may say something else."""
    kind = type(value)
    module, name = kind.__module__, kind.__name__
    if name not in _KINDS.get(module, ()) or getattr(sys.modules.get(module), name, None) is not kind:
        return None
    return [module, name, str(value)]


def of_text(module: Any, name: Any, text: Any) -> Any:
    """Raises Malformed for what `stated` does not write."""
    if type(module) is not str or name not in _KINDS.get(module, ()) or type(text) is not str or len(text) > _LONGEST:
        raise codec.Malformed("not an object of the library")
    try:
        return getattr(importlib.import_module(module), name)(text)
    except ValueError:
        raise codec.Malformed(f"not a {name}") from None
