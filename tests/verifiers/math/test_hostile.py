"""Hostile answers: bounded work, no exception, no code, the right verdict; the same from a thread."""

from __future__ import annotations

import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from grpo_kit.verifiers.math import equal, verify

TOWERS = r"""
9^{9^{9^9}} 9**9**9**9 2^{2^{2^{2^{2^2}}}} e^{e^{e^{e^e}}} (1+10^{-9})^{10^{18}} \sin(10^{10^{10}}) 
\lfloor10^{10^9}\pi\rfloor \sqrt[1000000000]{2} (10^9)! ((((9!)!)!)!)! \Gamma(10^{12}) \binom{10^9}{10^8}
\sum_{k=1}^{10^{12}}\frac1k
\prod_{k=1}^{1000}10^{10^6} \int_0^1x^{x^{x^x}}dx \sum_{a=1}^{200}\sum_{b=1}^{200}\sum_{c=1}^{200}1 
1e999999999 1/0 \frac00 0^0 \infty-\infty (a+b+c+d+e+f+g+h)^{200} \log(10^{10^{10}}) i^{10^{10^{10}}} 0.999999^{10^{12}}
"""
SHAPES: tuple[tuple[str, Callable[[int], str]], ...] = (
    ("brackets", lambda n: "(" * n + "2" + ")" * n),
    ("roots", lambda n: "\\sqrt{" * n + "2" + "}" * n),
    ("fractions", lambda n: "\\frac{1}{1+" * n + "1" + "}" * n),
    ("powers", lambda n: "x^{" * n + "x" + "}" * n),
    ("signs", lambda n: "-" * n + "2"),
    ("factorials", lambda n: "2" + "!" * n),
    ("primes", lambda n: "f" + "'" * n),
    ("divisions", lambda n: "2" + "/1" * n),
    ("degrees", lambda n: "2" + "^\\circ" * n),
    ("sum", lambda n: "x+" * n + "x"),
    ("list", lambda n: "1," * n + "1"),
    ("digits", lambda n: "2" * n),
    ("texts", lambda n: "\\text{a}" * n),
    ("words", lambda n: "5 " + "square " * n + "cm"),
    ("bars", lambda n: "|" * n),
    ("units in brackets", lambda n: "5 " + "(cm " * n),
    ("powers beside primes", lambda n: "²7'" * n),
    ("squared", lambda n: "5 " + "squared " * n),
    ("matrix", lambda n: "\\begin{pmatrix}" + "2&" * n + "2\\end{pmatrix}"),
    ("unclosed", lambda n: "\\boxed{" * n),
)
CODE = ("__import__('os').system('touch {}')", "open('{}','w').write('x')", "eval(\"open('{}','w')\")",
        "5*open('{}','w').fileno()", "\\input{{{}}}", "{{0.__class__}}%s%n {}")  # fmt: skip
GOLDS = ("1", "\\frac{1}{3}", "x+1", "(1,3)", "\\{1,3\\}", "x>3", "f(n)=n+1", "\\text{yes}", "3\\text{ cm}")


@pytest.mark.parametrize("tower", TOWERS.split())
@pytest.mark.parametrize("gold", GOLDS)
def test_values_beyond_the_bounds_are_wrong(tower: str, gold: str) -> None:
    assert verify(f"The final answer is $\\boxed{{{tower}}}$.", gold).value == 0.0
    assert verify(f"The answer is {tower}.", gold).value == 0.0
    assert verify(f"\\boxed{{{gold}}}", tower).value == 0.0


@pytest.mark.parametrize(("name", "shape"), SHAPES, ids=[name for name, _ in SHAPES])
@pytest.mark.parametrize("size", [30, 3_000, 300_000])
def test_size_alone_never_breaks_it(name: str, shape: Callable[[int], str], size: int) -> None:
    if size == 300_000:
        tracemalloc.start()
    for response in (f"\\boxed{{{shape(size)}}}", f"The answer is {shape(size)}", shape(size)):
        assert verify(response, "3").value == 0.0
    if tracemalloc.is_tracing():
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 200 * 2**20


@pytest.mark.parametrize(
    "piece",
    [
        "\\sqrt[3]{3^{40000}}+",
        "\\binom{5000}{2500}+",
        "\\frac{2^{70000}}{3^{45000}}+",
        "\\Gamma(x+0.5)+",
        "\\gcd(2^{70000},3^{45000})+",
    ],
)
def test_repeated_heavy_arithmetic_runs_out_of_budget(piece: str) -> None:
    text = piece * (16_000 // len(piece)) + "1"
    assert not equal("3", text)
    assert not equal(text, text + "+1")


def test_a_deep_caller_leaves_enough_stack() -> None:
    def call(depth: int) -> float:
        return verify(f"\\boxed{{{'(' * 23 + '2' + ')' * 23}}}", "2").value if depth == 0 else call(depth - 1)

    assert call(300) == 1.0


@pytest.mark.parametrize("template", CODE)
def test_code_is_text(template: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    text = template.format(canary)
    for response, gold in ((f"The answer is {text}", "1"), (f"\\boxed{{{text}}}", "1"), ("\\boxed{1}", text)):
        assert verify(response, gold).value == 0.0
    assert not canary.exists()


def test_a_thread_gives_the_same_verdicts() -> None:
    pairs = [
        ("\\boxed{(x+1)^2}", "x^2+2x+1"),
        ("\\boxed{\\sqrt{3+2\\sqrt2}}", "1+\\sqrt2"),
        ("\\boxed{9^{9^{9}}}", "3"),
    ] * 20
    here = [verify(*pair).value for pair in pairs]
    there: list[list[float]] = []
    threads = [threading.Thread(target=lambda: there.append([verify(*pair).value for pair in pairs])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert there == [here] * 4


def test_the_fast_path_imports_neither_sympy_nor_mpmath_nor_torch() -> None:
    code = (
        "import sys; from grpo_kit.verifiers.math import equal, verify\n"
        "assert verify('The answer is 1,000.', '1000').value == 1\n"
        "assert verify('\\\\boxed{\\\\frac{2}{4}}', '0.5').value == 1\n"
        "assert verify('\\\\boxed{(1, 2)}', '(1,2)').value == 1\n"
        "assert not {'sympy', 'mpmath', 'torch', 'numpy'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
