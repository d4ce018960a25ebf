"""Texts that grow: the pieces of which hostile answers are made, repeated, nested and mixed."""

from __future__ import annotations

import random
from collections.abc import Callable

Shape = Callable[[int], str]
_MARKS = r"""
{ } {} { } ( ) () [ ] \{ \} | || , ; : . ' " ! % ^ _ & \\ = < > + - * / $ ~ # @ \ \, \! 7 0 1, 1,000, 1.000. 1\,000\,
1{,} 1{,}0 1e5 0.5 x ab x+ x- 2x (1, \{1, a:b {a{ a{b} \frac \frac12 \sqrt \sqrt[3] \binom \text{ \text{a} \text{cm}
\mathrm{ \mathrm{e} \left( \right) \boxed{ \begin{pmatrix} \end{pmatrix} \begin{cases} 2& \sum \sum_{k=1}^{9} \int_0^1
\sin \log_2 \lim \pm \mp \le \cup \in \circ ^\circ \pmod \bmod \not \over \choose \mid \lfloor \rfloor \overline{3}
\phantom{ ² ½ ① 元 ü ° π √ ≤ ∞ “ • <answer> </answer> <think> ** `
"""
_WORDS = (
    " ",
    "\n",
    "\t",
    " and ",
    " or ",
    " is ",
    "the ",
    "apples ",
    "square ",
    " per ",
    " not ",
    "\\text{ m/s }",
    "No. ",
)
PIECES = (*_MARKS.split(), *_WORDS)


def repeated(piece: str) -> Shape:
    """``piece`` over and over, up to so many characters."""
    return lambda size: piece * (size // len(piece))


def mixed(seed: int) -> Shape:
    """A random shape: runs of pieces before, between and behind one another, each growing with the size."""
    draw = random.Random(seed)
    parts = ["".join(draw.choice(PIECES) for _ in range(draw.randint(1, 3))) for _ in range(draw.randint(1, 3))]
    return lambda size: "".join(part * (size // (len(parts) * len(part))) for part in parts)
