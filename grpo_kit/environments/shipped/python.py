"""python: a namespace of the sandbox that lives for an episode."""

from __future__ import annotations

import atexit
import functools
from typing import TYPE_CHECKING

from ..cases import Case
from ..classes import shortened
from ..formats import Call
from ..register import environment
from ..tools import tool

if TYPE_CHECKING:
    from grpo_kit.sandbox import Sandbox, Session, Step

EPISODE = 20  # calls' worth of time and output that an episode may use in all


def _cases() -> list[Case]:
    def code(text: str) -> list[Call]:
        return [Call("python", {"code": text})]

    return [
        Case(
            (code("x = 20\nprint('set')"), code("2 * x + 2"), "The answer is 42."),
            ("set", "42"),
            label="variables stay",
        ),
        Case((code("1 / 0"), "I give up."), ("ZeroDivisionError",), label="an exception is text"),
        Case((code("import os; os._exit(3)"), code("'x' in dir()"), "x"), ("ended", "False"), label="a crash"),
    ]


@functools.cache
def _sandbox(backend: str, preload: tuple[str, ...]) -> Sandbox:
    """This process's, started when first needed; its sessions are independent of each other."""
    from grpo_kit.sandbox import Sandbox

    made = Sandbox(backend=backend, workers=1, preload=preload)
    atexit.register(made.close)
    return made


@environment(name="python", timeout=30.0, turns=8, cases=_cases)
class Python:
    """The tool ``python`` runs code in the sandbox. Variables stay from call to call, for one episode.

    Code has neither network nor files of this machine (docs/sandbox.md). A call that runs into a limit ends the interpreter;
    the next one begins with an empty namespace, and the model is told so. The options are limits of a call: ``cpu_s``,
    ``wall_s``, ``memory_mb``, and ``characters`` of its output that are told; ``preload`` names modules beside the standard
    library (numpy) that code may import.
    """

    def __init__(
        self,
        cpu_s: float = 5.0,
        wall_s: float = 10.0,
        memory_mb: int = 512,
        characters: int = 4000,
        preload: tuple[str, ...] | list[str] = (),
        backend: str = "auto",
    ) -> None:
        from grpo_kit.sandbox import Limits

        self.limits = Limits(cpu_s=cpu_s, wall_s=wall_s, memory_mb=memory_mb, output_kb=256)
        self.characters = characters
        self.where = backend, tuple(preload)
        self.session: Session | None = None

    @tool(timeout=30.0)
    def python(self, code: str) -> str:
        """Run Python code. Variables stay for later calls. Returns what is printed and the value of the last expression.

        Args:
            code: the code to run
        """
        if self.session is None:
            total = self.limits.with_(
                cpu_s=self.limits.cpu_s * EPISODE, wall_s=self.limits.wall_s * EPISODE, output_kb=4096
            )
            self.session = _sandbox(*self.where).session(self.limits, total)
        step = self.session.run(code)
        if not step.alive:
            self.session.close()
            self.session = None
        return shortened(told(step), self.characters)

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None


def told(step: Step) -> str:
    """A call's output as the policy reads it."""
    parts = [step.stdout, step.stderr, step.value, step.error]
    text = "\n".join(part.rstrip("\n") for part in parts if part.strip())
    if not step.alive:
        text += "\nThe interpreter was ended; the next call begins with no variables."
    return text or "(no output)"
