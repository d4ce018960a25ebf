"""tool_word_problems: word problems whose numbers have to be asked for."""

from __future__ import annotations

from typing import Any

from grpo_kit.types import Task

from ..base import ToolError
from ..cases import Case
from ..formats import Call
from ..register import environment
from ..tools import tool


def _cases() -> list[Case]:
    told: dict[str, Any] = {
        "prompt": "Ann has [A] apples and buys [B] more. How many has she now? Look up what stands for a number.",
        "meta": {"hidden": {"A": "3", "B": "4"}},
        "answer": "7",
    }
    both = [Call("lookup", {"name": "A"}), Call("lookup", {"name": "[B]"})]
    return [
        Case((both, "3 + 4 = 7. The answer is 7."), ("3",), label="both at once", **told),
        Case(([Call("lookup", {"name": "C"})], "7"), ("A, B",), label="a name that is not there", **told),
    ]


@environment(name="tool_word_problems", timeout=2.0, turns=6, cases=_cases)
class ToolWordProblems:
    """Word problems in which names stand for numbers: the tool ``lookup`` tells what each of them is.

    `data.task: tool_word_problems` makes such tasks. The answer is the first turn without a call; a verifier judges it.
    """

    def begin(self, task: Task) -> None:
        hidden = task.meta.get("hidden")
        if not isinstance(hidden, dict):
            raise ValueError(
                "tool_word_problems needs the column 'hidden' (name -> number): use data.task: tool_word_problems"
            )
        self.hidden = hidden

    @tool
    def lookup(self, name: str) -> str:
        """Tell the number that a name in the problem stands for.

        Args:
            name: the name, for example A
        """
        found = self.hidden.get(name.strip(" []").upper())
        if found is None:
            raise ToolError(f"There is no {name[:20]!r}; there are {', '.join(self.hidden)}.")
        return str(found)
