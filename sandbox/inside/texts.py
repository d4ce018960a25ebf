"""Text of the program that the tests look a name up by, fill in as a template, or evaluate a part of.

``globals()[f(1)] == want`` would find whatever the program names, ``f(1).format(user)`` whatever can be reached from there, and
in ``eval(f"{f(1)} == 24")`` the text ``1 or 5`` would take the comparison apart.
"""

from __future__ import annotations

import ast
import importlib
import keyword
import re
import string
import sys
import types
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

from ..wire import codec
from .proxy import Proxy

_LONGEST = 1000
_TOKEN = re.compile(r"\w+|[-+*/%(),.]{1,2}")
_NAMED = re.compile(
    r"\b(eval|globals|locals|vars|__dict__|getattr|attrgetter|getmembers|methodcaller|__getattribute__|getattr_static)\b"
)


class Handed:
    """Texts that the program has handed over.

    Args:
        tests: the texts of the setup and the tests: where none of them looks names up or evaluates, none are kept.
    """

    def __init__(self, tests: str = "") -> None:
        self._texts: dict[int, str] = {}  # by identity: the tests may have the same text of their own
        self._spoke = False  # any text at all
        self._letters: set[str] = set()  # there is but one of each
        self.is_own: Callable[[Any], bool] = lambda text: True  # whether a text stands in the tests
        self.own: list[str] = []  # texts that stand there
        self.hears = _NAMED.search(tests) is not None

    def hear(self, data: Any) -> None:
        """What has come over, in its encoding."""
        if self.hears:
            texts = list(_texts_in(data))
            self._spoke = self._spoke or bool(texts)
            self._letters.update(text for text in texts if len(text) == 1)
            self._texts.update((id(text), text) for text in texts if 1 < len(text) <= _LONGEST)

    def named(self, name: Any) -> Any:
        """A name that something else looks up. Raises NotData."""
        if self.is_handed(name):
            raise codec.NotData("the tests look up what the program names")
        return name

    def look_up(self, names: Any, key: Any) -> Any:
        """``globals()[key]``. Raises NotData for what the program names and is not its own."""
        found = names[key]
        if type(found) is not Proxy and self.is_handed(key):
            raise codec.NotData("the tests look up what the program names")
        return found

    def get(self, owner: Any, name: Any, *default: Any) -> Any:
        """``getattr(owner, name)``. Raises NotData for what the program names in a class or an object of the tests."""
        if self.is_handed(name) and not _may_be_asked(owner, name):
            raise codec.NotData("the tests look up what the program names")
        return getattr(owner, name, *default)

    def key(self, name: str) -> Key:
        key = Key(name)
        key._handed = self
        return key

    def is_handed(self, key: Any) -> bool:
        """Whether a name is the program's: it came over, or has been made of what did, and does not stand in the tests."""
        if id(key) in self._texts or type(key) is not str or not self._spoke:
            return id(key) in self._texts
        return not self.is_own(key) and (key in self._letters if len(key) == 1 else not self._is_of_tests(key))

    def _is_of_tests(self, key: str) -> bool:
        """Whether it is a name or a part of a text that stands in the tests, or put together from such texts."""
        if _is_interned(key):
            return True
        if len(key) > _LONGEST:
            return False
        parts, key = [text.lower() for text in self.own if len(text) > 1], key.lower()
        within = len(key) > 1 and any(key in text for text in parts)
        return within or _is_made_of(key, (*parts, *string.digits))

    def is_of_template(self, key: Any) -> bool:
        """Whether a name was cut out of a template, and stands in a text that the program has handed over."""
        cut = type(key) is str and key.isidentifier() and not _is_interned(key)
        return cut and any(key in text for text in self._texts.values())

    def keeps_apart(self, source: str) -> bool:
        """Whether each text of the program within ``source`` is an operand there, or a token, and no part of it alone."""
        texts = set(self._texts.values())
        if source.strip() in texts:
            return True
        within = [text for text in texts if text in source and not _is_token(text)]
        if not (self._is_composed(source, texts) or _decides_once(source)):
            return False
        if not within:
            return True
        longest_first = "|".join(re.escape(text) for text in sorted(within, key=len, reverse=True))
        try:
            return _form(source) == _form(re.sub(longest_first, lambda found: f"({found[0]})", source))
        except SyntaxError:
            return False

    def _is_composed(self, source: str, texts: set[str]) -> bool:
        """Whether each part is the tests' own, or a text that came over."""
        texts = texts | {letter for letter in self._letters if letter.isdigit()}
        known = sorted((t for t in texts if t in source and not keyword.iskeyword(t)), key=len, reverse=True)
        rest = re.split("|".join(map(re.escape, known)), source) if known else [source]
        return all(any(part in text for text in self.own) for part in rest if part.strip())


def _is_interned(key: str) -> bool:
    """Whether it is a name that stands in a text of Python's, the tests' own for one: there is one text for each of these."""
    return len(key) > 1 and sys.intern((key + " ")[:-1]) is key  # a copy: else it would be interned itself


def _is_made_of(key: str, parts: Sequence[str]) -> bool:
    reached = {0}
    for end in range(1, len(key) + 1):
        if any(end - len(part) in reached and key.endswith(part, 0, end) for part in parts):
            reached.add(end)
    return bool(key) and len(key) in reached


def _is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None and (not keyword.iskeyword(text) or text in ("True", "False", "None"))


def _decides_once(source: str) -> bool:
    """Whether an expression decides nothing, or by one comparison that is the whole of it: nothing stands beside it."""
    try:
        tree = ast.parse(source.strip(), mode="eval").body
    except SyntaxError:
        return True  # which evaluating it will say
    if "#" in source:
        return False
    deciding = [n for n in ast.walk(tree) if isinstance(n, (ast.Compare, ast.BoolOp, ast.IfExp, ast.Not))]
    return not deciding or (deciding == [tree] and isinstance(tree, ast.Compare) and len(tree.ops) == 1)


class Key(str):
    """A name of the tests, in whatever they make of their names: what the program has handed over is not compared with it."""

    __slots__ = ("_handed",)
    _handed: Handed

    def __eq__(self, other: object) -> bool:
        same = str.__eq__(self, other)
        if same is True and self._handed.is_handed(other):
            raise codec.NotData("the tests look up what the program names")
        return same

    def __ne__(self, other: object) -> bool:
        return not self == other if isinstance(other, str) else NotImplemented

    __hash__ = str.__hash__


class Names(MutableMapping[Any, Any]):
    """``globals()`` and the like in the tests: by what the program has handed over they find what is its own."""

    def __init__(self, names: Any, handed: Handed, of_data: bool = False) -> None:
        self._names, self._handed, self._of_data = names, handed, of_data

    def __getitem__(self, key: Any) -> Any:
        found = self._names[key]
        if type(found) is not Proxy and self._handed.is_of_template(key):
            raise codec.NotData("the tests fill in a template that is not theirs with their own names")
        return self._handed.look_up(self._names, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._names[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._names[key]

    def __contains__(self, key: Any) -> bool:
        return key in self._names

    def __iter__(self) -> Iterator[Any]:
        for name in self._names:
            of_tests = type(name) is str and not self._of_data and type(self._names.get(name)) is not Proxy
            yield self._handed.key(name) if of_tests else name

    def __len__(self) -> int:
        return len(self._names)

    def copy(self) -> Names:
        return Names(dict(self._names), self._handed, self._of_data)


def _texts_in(data: Any) -> Iterator[str]:
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if type(value) is str:
            yield value
        elif type(value) is list:
            waiting += value
        elif type(value) is dict and value.get("~") != "ref":
            waiting += [content for name, content in value.items() if name != "~"]


def _may_be_asked(owner: Any, name: str) -> bool:
    """Whether an object may be asked for what the program names: one of the program's own, of the library's, or plain data."""
    if type(owner) is Proxy:
        return True
    of_library = isinstance(owner, types.ModuleType) and owner.__name__.partition(".")[0] in sys.stdlib_module_names
    return not name.startswith("_") and (of_library or not (isinstance(owner, type) or hasattr(owner, "__dict__")))


def _form(source: str) -> str:
    tree = ast.parse(source.strip(), mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""  # what stands in quotes is no part of the expression
    return ast.dump(tree)


def check_template(text: str, arguments: list[Any]) -> None:
    """Raises NotData for a template that is not the tests' and asks for more than an attribute of their objects."""
    for field in _fields(text):
        attributes = field.count(".")
        asked = attributes and any(
            type(a) is not Proxy and (callable(a) or isinstance(a, types.ModuleType)) for a in arguments
        )
        if asked or attributes > 1 or "._" in field or "[_" in field:
            raise codec.NotData("the tests fill in a template that is not theirs, and which looks into their objects")


def _fields(text: str) -> Iterator[str]:
    try:
        for _, field, how, _ in string.Formatter().parse(text):
            if field is not None:
                yield field
                yield from _fields(how or "")
    except ValueError:  # no template: filling it in says so
        return


def guard_names(handed: Handed, tests: str, ended: Callable[[BaseException], None]) -> None:
    """Put what finds attributes by name, and fills in templates, in the place of the library's.

    Args:
        ended: hears of the end of an iterator that ``methodcaller("__next__")`` met.
    """
    if "getmembers" in tests:
        _guard_getmembers(importlib.import_module("inspect"), handed)
    if "attrgetter" in tests:
        _guard_attrgetter(importlib.import_module("operator"), handed)
    if "methodcaller" in tests:
        _guard_methodcaller(importlib.import_module("operator"), handed, ended)
    if "Formatter" in tests:
        _guard_formatter(string.Formatter, handed)


def _guard_methodcaller(library: Any, handed: Handed, ended: Callable[[BaseException], None]) -> None:
    methodcaller = library.methodcaller

    def caller(name: Any, *arguments: Any, **named: Any) -> Any:
        call = methodcaller(name, *arguments, **named)

        def ask(owner: Any) -> Any:
            if name in ("format", "format_map") and type(owner) is str and not handed.is_own(owner):
                check_template(owner, [*arguments, *named.values()])
            handed.get(owner, name)
            try:
                return call(owner)
            except StopIteration as error:
                ended(error)
                raise

        return ask

    library.methodcaller = caller


def _guard_formatter(kind: Any, handed: Handed) -> None:
    vformat = kind.vformat

    def fill_in(self: Any, text: Any, arguments: Any, named: Any) -> Any:
        if type(text) is str and not handed.is_own(text):
            check_template(text, [*arguments, *named.values()])
        return vformat(self, text, arguments, named)

    kind.vformat = fill_in


def _guard_getmembers(inspect: Any, handed: Handed) -> None:
    getmembers = inspect.getmembers

    def members(owner: Any, *predicate: Any) -> Any:
        found = getmembers(owner, *predicate)
        return found if type(owner) is Proxy else [(handed.key(name), value) for name, value in found]

    inspect.getmembers = members


def _guard_attrgetter(library: Any, handed: Handed) -> None:
    attrgetter = library.attrgetter

    def getter(*names: Any) -> Any:
        get = attrgetter(*names)

        def ask(owner: Any) -> Any:
            for name in names:
                handed.get(owner, name, None)
            return get(owner)

        return ask

    library.attrgetter = getter
