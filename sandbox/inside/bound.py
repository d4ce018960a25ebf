"""What the names in the tests stand for: the referee's own, and the program's, which are asked for."""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Sequence
from typing import Any

from ..wire import codec
from . import raised, testing
from .given import fill
from .held import Gone, about
from .link import Link
from .proxy import Proxy


class TaskBroken(Exception):
    """The tests need something that is not here, whatever the program: nothing that it has said leads here."""


def bind(link: Link, job: dict[str, Any], namespace: dict[str, Any]) -> None:
    """Give the tests their names. Raises TaskBroken."""
    for name, origin in job["own"].items():
        namespace[name] = _imported(name, origin)
    link.raised.kinds.update({n: getattr(builtins, n) for n in job["exceptions"] if n in raised.NEVER})
    wanted = [*(n for n in job["names"] if n not in job["own"]), *(n for n in job["exceptions"] if "." in n)]
    # What else the answer may hold is nobody's: built-ins, for one.
    asked = link.request(["names", wanted], lambda found: {n: found[n] for n in wanted if n in found})
    kinds = [(len(bases), n, bases, its) for n, (kind, bases, *its) in asked.items() if kind == "exception"]
    for _, name, bases, its in sorted(kinds, key=lambda found: found[:2]):  # fewer bases first: each finds its own
        own, *owner = (_class(link, job, name, content) for content in its)
        if not isinstance(own, Proxy):  # what is called would be made here, and be true
            raise Gone("not a class of exceptions")
        made = _exception(link, bases, own)
        if "." not in name:
            namespace[name] = link.raised.kinds[name] = made
        for holder in owner:
            link.put[about(holder).number, name.rpartition(".")[2]] = made
    for name, (kind, content, *value) in asked.items():
        if kind == "exceptions":  # ERRORS = (KeyError, ParseError)
            caught_here = name in job["exceptions"]
            known = tuple(_exception(link, bases) for bases in content) if caught_here else ()
            namespace[name] = known if caught_here else _named_value(link, name, *value)
    for name, (kind, content, *followed) in asked.items():
        if kind == "class":
            namespace[name] = value = _class(link, job, name, content)
            if isinstance(value, Proxy):
                link.classes.add(name)
        elif kind == "value":
            namespace[name] = value = _named_value(link, name, content)
            _follow(link, followed, value)


def _class(link: Link, job: dict[str, Any], name: str, content: Any) -> Any:
    value = _named_value(link, name, content)
    if isinstance(value, Proxy) and name in job["classes"]:
        about(value).makes_own = True
        link.making.add(name)
    if isinstance(value, Proxy) and name[:1].isupper() and {name} <= {*job["exceptions"]} & {*job["entry_points"]}:
        link.making.add(name)  # what is raised is of a class; what is made by the name may still be a function's
    return value


def _named_value(link: Link, name: str, content: Any) -> Any:
    value = link.decode(content, producer=name)
    if isinstance(value, Proxy):
        about(value).label = name
        about(value).named = True
        link.heard_of(value)
    return value


def _exception(link: Link, bases: list[str], own: Any = None) -> type:
    """What stands for a class of the program's, or for one of the library that it has under another name.

    What the program raises so is one, and not what the tests raise: ``ParseError = ValueError`` takes no ValueError of theirs.
    ``own``: the class itself, which makes what the tests raise of it.
    """
    if bases[0] in link.raised.made:
        return link.raised.made[bases[0]]
    known = link.raised.bases(n for n in bases if n not in raised.NEVER) or (Exception,)
    made = link.raised.made[bases[0]] = raised.standing_for(raised.short(bases[0]), known, own)
    if bases[0] not in raised.NEVER:
        link.raised.kinds[bases[0]] = made
    return made


def _follow(link: Link, number: list[Any], value: Any) -> None:
    """Have the program know what the tests change in a variable of its own: ``users.clear()``."""
    if number and codec.is_data(value):
        (which,) = number
        if type(which) is not int:
            raise Gone("not the number of a container")
        link.shared.keep(which, value)


class Data:
    """Names of the program that stand for data: what they stand for by now, since a call may have changed that."""

    def __init__(self, link: Link, namespace: dict[str, Any], names: Sequence[str]) -> None:
        self.link, self.namespace = link, namespace
        found = {n: namespace[n] for n in names if n in namespace and not isinstance(namespace[n], (Proxy, type))}
        self.bound = {n: value for n, value in found.items() if codec.is_data(value)}
        self.looked_at = link.requests

    def now(self, name: str) -> Any:
        bound, link = self.bound[name], self.link
        if self.namespace.get(name) is not bound:  # the tests have assigned it
            return self.namespace[name]
        if link.requests != self.looked_at or link.asking:
            link.request(["names", list(self.bound)], self._bind_all)
            self.looked_at = link.requests
        return self.namespace[name]

    def _bind_all(self, found: dict[str, list[Any]]) -> None:
        for name, (kind, content, *followed) in found.items():
            if kind == "value" and name in self.bound and self.namespace.get(name) is self.bound[name]:
                self._bind(name, _named_value(self.link, name, content))
                _follow(self.link, followed, self.bound[name])

    def _bind(self, name: str, value: Any) -> None:
        bound = self.bound[name]
        if type(bound) is type(value) and isinstance(bound, (list, dict, set)):
            fill(bound, value)  # other names that the tests have for it see it, too
        else:
            self.namespace[name] = self.bound[name] = value


def _imported(name: str, origin: str) -> Any:
    module, _, attribute = origin.partition(":")
    try:
        if module == "unittest" and attribute.startswith("assert"):
            return testing.assertion(attribute)
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found
    except ImportError:
        raise TaskBroken(f"the tests use {name!r} without importing it, and {module} is not preloaded") from None
    except AttributeError:
        raise TaskBroken(f"the tests use {name!r}, and there is no {attribute} in {module} here") from None
