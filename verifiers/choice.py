"""choice: a multiple-choice letter, in the usual ways of saying it."""

from __future__ import annotations

from typing import Any

from grpo_kit.types import Score

from .cases import Case
from .final_answer import LETTER, final_answer
from .final_answer.gold import final_of_gold, plain
from .register import verifier


def _cases() -> list[Case]:
    right = [
        "B", "(B)", "B.", "B) Paris", "**B**", "The answer is B.", "The correct answer is (B) Paris.", r"\boxed{B}",
        r"\boxed{\text{B}}", "<answer>B</answer>", "Answer: B", "Option B is correct.", "I would choose option B.",
        "<think>Maybe A. Or C.</think>\nThe best answer is **B**.", "A is wrong because of X.\nFinal answer: B",
        "the correct option is b", "Reasoning about a cat.\n\nB", "A is wrong. C is wrong. So it is B.", "故选B。",
        r"Hence \boxed{\mathbf{(B)}\ 42}", "So $\\boxed{x=4}$.\n\nAnswer: (B)", "La réponse est B.",
    ]  # fmt: skip
    wrong = [
        "A", "The answer is A.", "A or B", "The answer is A or B.", "\\boxed{A} \\boxed{B}", "", "A, B, C, D",
        "The answer is Berlin.", "I like B movies a lot, they are fun to watch.", "ABCD",
        "The answer is A. The answer is B.", "The answer is not B", "A\nB", "B 50%, C 50%", "B; C",
        "It is false that B is correct", "I don't think the answer is B", "The wrong answer is B",
    ]  # fmt: skip
    return [
        *(Case(text, "B", expected=1.0) for text in right),
        *(Case(text, "B", expected=0.0) for text in wrong),
        Case("(B)", 1, meta={"choices": ["Rome", "Paris"]}, expected=1.0),
        Case("The answer is I", "B", meta={"choices": ["Rome", "Paris"]}, expected=0.0),
    ]


@verifier(name="choice", timeout=2.0, cases=_cases)
def choice(response: str, answer: Any, meta: Any = None, choices: int = 26) -> Score:
    """Whether the chosen letter is the gold one.

    Understood: a letter in a box or answer tag, "the answer is (B)", "option B is correct", "I choose B", 故选 B and
    the like, and a last line that is just the letter or "B) text". A response that settles on two letters has chosen
    none.

    Args:
        choices: number of options; ``meta["choices"]`` (a list) overrides it.

    The gold answer is a letter, or the index of the option counted from 0.
    """
    offered = meta.get("choices") if isinstance(meta, dict) else None
    count = len(offered) if isinstance(offered, (list, tuple, dict)) else choices
    gold = _gold(answer, count)
    found = final_answer(response, LETTER)
    if found.text is None:
        return Score(0.0, reason=found.reason)
    if ord(found.text) - ord("A") >= count:
        return Score(0.0, extracted=found.text, reason=f"{found.text} is none of the {count} options")
    return Score(float(found.text == gold), extracted=found.text, reason=found.reason)


def _gold(answer: Any, count: int) -> str:
    answer = plain(answer)
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < min(count, 26):
        return chr(ord("A") + answer)
    letter = LETTER.read(final_of_gold(answer, LETTER)) if isinstance(answer, str) else None
    if letter is None:
        raise ValueError(f"choice: the gold answer must be a letter or an index below {count}, got {answer!r:.100}")
    return letter
