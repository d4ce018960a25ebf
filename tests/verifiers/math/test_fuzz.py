"""100,000 random strings made of the grammar's own pieces: no error, no long call, no unbounded memory."""

from __future__ import annotations

import random

from grpo_kit.verifiers.math import equal, verify
from grpo_kit.verifiers.math.read import parse_cached

PIECES = r"""
1 2 3 10 0.5 .5 1,000 9^9 e10 x y n i e \pi \sqrt \sqrt[3] \frac \dfrac \binom { } ( ) [ ] \{ \} | , ; : + - * / ^ _ ! =
< > \le \ge \ne \pm \mp \cup \cap \in \infty \% \$ $ \text{ cm} \text{and} \circ \left( \right) \sin \cos \log \ln
\begin{pmatrix} \end{pmatrix} & \\ \begin{cases} \end{cases} \sum_{k=1}^{9} \int_0^1 dx \lim \lfloor \rfloor \boxed{
\overline{3} ... or and to mod percent dollars √ π ² ∞ \mathbb{R} \emptyset ' " \
"""
GOLDS = ("7", "\\frac{1}{2}", "x^2+1", "(1,2]", "\\{1,2\\}", "\\text{yes}", "x>3", "25\\%", "B", "5\\text{ cm}")


def test_random_strings_never_raise() -> None:
    random_ = random.Random(20260)
    pieces = PIECES.split()
    accepted = 0
    for number in range(100_000):
        text = "".join(random_.choice(pieces) for _ in range(random_.randint(1, 14)))
        parse_cached(text)
        if number % 5 == 0:
            accepted += verify(f"\\boxed{{{text}}}", GOLDS[number // 5 % len(GOLDS)]).value == 1.0
        if number % 25 == 0:
            assert isinstance(equal(text, text + " "), bool)
    assert accepted < 200  # random text earns next to nothing


def test_mutated_answers_never_raise() -> None:
    random_ = random.Random(7)
    seeds = [
        "\\frac{\\sqrt{3}}{2}",
        "(-\\infty,3]\\cup[5,\\infty)",
        "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
        "x=1\\text{ or }x=2",
    ]
    for _ in range(5_000):
        seed = random_.choice(seeds)
        text = list(seed)
        for _ in range(random_.randint(1, 4)):
            place = random_.randrange(len(text))
            text[place] = random_.choice(["", "{", "}", "\\", "(", "^", "1", text[place] * 3])
        assert isinstance(equal(seed, "".join(text)), bool)
