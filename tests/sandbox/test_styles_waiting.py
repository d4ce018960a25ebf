"""Tests that let time pass, that ask an object for its members, and others: each passes a right program and fails a wrong one."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import LIMITS

DEBOUNCE = "import threading\ndef debounce(w):\n def d(fn):\n  t = [None]\n  def call(*a):\n   if t[0]: t[0].cancel()\n   t[0] = threading.Timer(w, lambda: fn(*a)); t[0].start()\n  return call\n return d"
LATER = "import threading\ndef later(w, fn): threading.Timer(w, fn).start()"
MEMBERS = "class A:\n def __init__(s): s.y = 3\n def m(s): return 1\n x = 2\ndef make(): return A()"
# fmt: off
WAITING = [
 ('debounce', DEBOUNCE, DEBOUNCE.replace("if t[0]", "if 0"), "import time\nhits = []\n@debounce(0.02)\ndef g(x): hits.append(x)\ng(1); g(2)\ntime.sleep(0.1)\nassert hits == [2]", {'entry_point': 'debounce'}),
 ('debounce, slept imported', DEBOUNCE, DEBOUNCE.replace("fn(*a)", "0"), "from time import sleep\nhits = []\ng = debounce(0.02)(hits.append)\ng(1)\nsleep(0.1)\nassert hits == [1]", {'entry_point': 'debounce'}),
 ('an event that the program sets', LATER, "def later(w, fn): pass", "import threading\ndone = threading.Event()\nlater(0.02, done.set)\nassert done.wait(0.3)", {'entry_point': 'later'}),
 ('an event that a callback sets', LATER, "def later(w, fn): pass", "from threading import Event\ndone, out = Event(), []\ndef g():\n    out.append(1)\n    done.set()\nlater(0.02, g)\ndone.wait(timeout=0.3)\nassert out == [1]", {'entry_point': 'later'}),
 ('a sleep before a call', "def f(x): return x", "def f(x): return 0", "import time\nt = time.monotonic()\ntime.sleep(0.05)\nassert f(3) == 3 and time.monotonic() - t >= 0.05", {'entry_point': 'f'}),
 ('members of a class', MEMBERS, MEMBERS.replace('x = 2', 'x = 1'), "import inspect\nfound = dict(inspect.getmembers(A))\nassert found['x'] == 2 and 'm' in found\nassert [n for n, _ in inspect.getmembers(A, inspect.isfunction) if not n.startswith('_')] == ['m']", {'entry_point': 'A'}),
 ('members of an object', MEMBERS, MEMBERS.replace('y = 3', 'y = 4'), "import inspect\nfound = dict(inspect.getmembers(make()))\nassert found['y'] == 3 and 'm' in found\nassert [n for n, _ in inspect.getmembers(make(), inspect.ismethod) if not n.startswith('_')] == ['m']", {'entry_point': 'make'}),
 ('members that can be called', MEMBERS, MEMBERS.replace('def m(s): return 1', 'm = 1'), "import inspect\nassert [n for n, _ in inspect.getmembers(make(), callable) if not n.startswith('_')] == ['m']", {'entry_point': 'make'}),
]
# fmt: on


@pytest.mark.parametrize(("right", "wrong", "test", "arguments"), [c[1:] for c in WAITING], ids=[c[0] for c in WAITING])
def test_a_style_tells_right_from_wrong(sandbox, right, wrong, test, arguments):
    result = sandbox.run_tests(right, [test], limits=LIMITS, **arguments)
    assert result.passed, result.reason
    assert not sandbox.run_tests(wrong, [test], limits=LIMITS, **arguments).passed
