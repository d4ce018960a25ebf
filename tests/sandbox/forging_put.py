"""What the tests have put into an attribute, and the program has not kept there."""

# ruff: noqa: E501

from __future__ import annotations

from .forging_programs import Attack

_B = {"entry_point": "B"}
# fmt: off
_TESTS = [
 "b = B()\ndef cb(x): return 3\nb.on = cb\nb.tick()\nassert b.on is cb",
 "b = B()\nb.on = cb = lambda x: 3\nb.tick()\nassert b.on == cb",
 "b = B()\nb.on = len\nb.tick()\nassert b.on is len",
 "from functools import partial\nb = B()\nb.on = cb = partial(int, base=2)\nb.tick()\nassert b.on is cb",
 "from unittest.mock import Mock\nb = B()\nb.on = m = Mock()\nb.tick()\nassert b.on is m",
 "b = B()\nb.on = lambda x: 3\nb.tick()\nassert b.on(1) == 3",
]
PUT: list[Attack] = [
 ("a method empties it", "class B:\n def __init__(s): s.on = None\n def tick(s): s.on = None\n", _TESTS, _B),
 ("a setter that does nothing", "class B:\n def __init__(s): s._on = None\n @property\n def on(s): return s._on\n @on.setter\n def on(s, v): pass\n def tick(s): pass\n", _TESTS, _B),
 ("nothing is set", "class B:\n on = None\n def __setattr__(s, n, v): pass\n def tick(s): pass\n", _TESTS, _B),
 ("another is given", "class B:\n @property\n def on(s): return lambda *a: s._on\n @on.setter\n def on(s, v): s._on = v\n def tick(s): pass\n", _TESTS, _B),
]
# fmt: on
