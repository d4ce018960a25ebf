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
 (
  "a mock of the tests, in the place of a result",
  "import builtins, time, random\nKEPT = []\ndef f(*a, **k):\n found = [*a, *k.values()]\n for m in (builtins, time, random): found += vars(m).values()\n KEPT.extend(x for x in found if 'Mock' in type(x).__name__)\n return KEPT[-1] if KEPT else None",
  [
   *(f"from unittest.mock import MagicMock, patch\nm = MagicMock()\nm.get.return_value = 'Ann'\nassert f(m){asked}" for asked in (".startswith('A')", "['total']", ".count('a')", ".isdigit()", ".issuperset({1})", ".get('x') == 'Bob'", ".zzz().startswith('x')", " > 3")),
   "from unittest.mock import patch\nwith patch('builtins.input', return_value='bob'): assert f().startswith('Hello')",
   "from unittest.mock import Mock\nm = Mock(spec=str)\nassert f(m).startswith('x')",
   "assert f('x').startswith('Hello')",
   "assert [1, 2, 3][f('x')] == 2",
  ],
  {"entry_point": "f"},
 ),
]
# fmt: on
