"""Law 16: a response of twice the length costs a rule verifier at most 2.5 times as much, whatever it is made of.

Texts are a model's output: one quadratic pattern is a stall that training finds. CPU time of this process is compared
within one run, from 1 kB to 1 MB; what is below the floor is not compared, and a suspicion is measured again, because
a machine under load can make one measurement slow and no machine makes a quadratic one fast.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from grpo_kit.verifiers import Verifier, get_verifier
from tests.kit.linear import is_linear, without_collections

# Lengths that are compared with twice as much, and of how many (shape, place) pairs one is measured: all cost minutes, and the
# verifiers share their extractor, so that what is left out for one is measured for another.
SIZES = ((1_000, 5), (8_000, 4), (64_000, 80), (500_000, 320))
UNITS = (
    " ", "\n", "\t", "*", "_", "`", "#", "$", "\\", "{", "}", "{}", "(", ")", "[", "]", "\\(", "\\[", "\"", "'", "<", ".",
    "?", "! ", ", ", "; ", "=", "-", "/", "|", "7", "1 ", "5, ", "5\n", "$5$", "$5 and ", "①", "a", "a ", "A B ", "A) ",
    "A\n", "or maybe ", "not ", "if ", "<answer>", "</answer>", "<think>", "</think>", "<|channel|>final<|message|>",
    "<|im_end|>", "\\boxed{", "\\boxed{5}", "\\boxed5", "\\fbox{", "\\text{", "\\frac{", "\\phantom{", "\\sqrt{",
    "^\\circ", "The answer is ", "The answer is 5. ", "The answer is not ", "Answer: ", "Answer\n", "#### ", "A: ", "答案是",
    "故选", "Ответ: ", "La réponse est ", "```json\n", "[{", "{\"a\":", "I don't know ", "But ", "Wait, ", "so it is ",
)  # fmt: skip
PLACES: dict[str, Callable[[str], str]] = {
    "alone": lambda text: text,
    "before": lambda text: f"{text}\nThe answer is 5.",
    "box": lambda text: f"\\boxed{{{text}5}}",
    "open box": lambda text: f"\\boxed{{5{text}",
    "behind a box": lambda text: f"\\boxed{{5}}{text}",
    "tag": lambda text: f"<answer>{text}5</answer>",
    "stated": lambda text: f"The answer is {text}5",
    "behind a statement": lambda text: f"The answer is 5{text}",
    "reasoning": lambda text: f"<think>{text}</think>\n5",
}
VERIFIERS: dict[str, tuple[str, object, dict[str, object]]] = {
    "math": ("math", "5", {}),
    "math of a letter": ("math", "A", {}),
    "math, last expression": ("math", "5", {"last_expression": True}),
    "number": ("number", "5", {}),
    "choice": ("choice", "A", {}),
    "exact": ("exact", "five", {}),
    "countdown": ("countdown", {"numbers": [2, 3], "target": 5}, {}),
    "format": ("format", None, {}),
    "format, boxed": ("format", None, {"shape": "boxed"}),
    "format, JSON": ("format", None, {"shape": "json"}),
    "json_schema": ("json_schema", None, {"schema": {"type": "object"}}),
    "repetition": ("repetition", None, {}),
    "language": ("language", None, {}),
}


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    with without_collections():
        yield


def verifier_of(label: str) -> Callable[[str], float]:
    """CPU seconds of one call on a response."""
    name, gold, options = VERIFIERS[label]
    verifier: Verifier = get_verifier(name).with_options(options)

    def cost(response: str) -> float:
        start = time.process_time()
        score = verifier(response=response, answer=gold, prompt="What is it?", meta={})
        spent = time.process_time() - start
        assert score.status in ("ok", "abstain")
        return spent

    return cost


def text_of(unit: str, place: Callable[[str], str], size: int) -> str:
    return place(unit * (size // len(unit)))


@pytest.mark.parametrize("label", VERIFIERS)
def test_twice_the_text_costs_at_most_two_and_a_half_times_as_much(label: str) -> None:
    cost = verifier_of(label)
    for unit in UNITS:
        for place, put in PLACES.items():
            drawn = zlib.crc32(f"{label} {unit} {place}".encode())
            for size, one_of in SIZES:
                if drawn % one_of:
                    continue
                assert is_linear(cost, partial(text_of, unit, put), size), f"{unit!r} {place}, {size:,} characters"


@pytest.mark.parametrize(
    ("label", "unit", "place"),
    [  # what was cubic or quadratic once
        ("math", " ", "box"), ("math", "\n", "box"), ("math", "\t", "open box"), ("number", " ", "box"),
        ("choice", "*", "before"), ("choice", "<answer>", "alone"), ("number", "<answer>", "alone"), ("number", "a ", "stated"),
    ],
)  # fmt: skip
def test_shapes_that_once_were_superlinear(label: str, unit: str, place: str) -> None:
    cost = verifier_of(label)
    for shorter in (1_000, 2_000, 4_000, 8_000, 16_000):
        assert is_linear(cost, partial(text_of, unit, PLACES[place]), shorter)


@pytest.mark.parametrize("label", VERIFIERS)
def test_no_mixture_of_shapes_is_worse(label: str) -> None:
    cost = verifier_of(label)
    generator = random.Random(f"law 16, {label}")
    for _ in range(40):
        unit = "".join(generator.choices(UNITS, k=generator.randint(2, 4)))
        put = generator.choice(list(PLACES.values()))
        # Behind a prefix of its own, for what needs to see something first.
        prefix = generator.choice(("", "", "\\boxed{5} ", "The answer is 5. ", "<answer>", "$", "\\text{", "Answer: A"))

        def text(size: int, prefix: str = prefix, unit: str = unit, put: Callable[[str], str] = put) -> str:
            return prefix + text_of(unit, put, size)

        assert is_linear(cost, text, 12_000), f"{prefix!r} {unit!r}"


@pytest.mark.parametrize(
    ("seconds", "linear"),
    [
        (lambda n: n * 1e-4, True),
        (lambda n: n * 1e-4 * (1 + 0.4 * (n > 1_500)), True),  # a cache that no longer holds it
        (lambda n: n * n * 1e-7, False),
        (lambda n: n * n * 1e-7 if n < 3_000 else 1e-9, False),  # a bound beyond which nothing is read
        (lambda n: n * n * 1e-9, True),  # below the floor
    ],
)
def test_the_measure_itself(seconds: Callable[[int], float], linear: bool) -> None:
    assert is_linear(lambda text: seconds(len(text)), lambda size: "x" * size, 1_000) is linear
