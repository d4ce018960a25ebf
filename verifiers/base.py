"""The verifier contract: what a verifier is and how it is called.

A verifier is a function that takes any of ``response, answer, prompt, meta, completion_ids, messages`` by name and
returns a bool, a number, a dict, a `Score` or None::

    from grpo_kit.verifiers import verifier

    @verifier(name="ends_with_answer", timeout=1.0)
    def ends_with_answer(response: str, answer) -> bool:
        return response.strip().endswith(str(answer))
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.runtime.coroutine import run_coroutine
from grpo_kit.types import Score

ARGUMENTS = ("response", "answer", "prompt", "meta", "completion_ids", "messages")
PER_RESPONSE = ("response", "completion_ids")


class VerifierError(UserError):
    """A verifier that cannot be found, loaded or called as it was written."""


@dataclass(frozen=True)
class Verifier:
    """A verifier function with what the scoring pool must know about it.

    Attributes:
        timeout: seconds one call may take; the deadline starts when the work starts.
        version: recorded in rollouts and results, so that a changed rule is seen.
        weight: multiplied with the weight that a recipe gives.
        parameters: names of the arguments and options that the function takes.
        batch: the function takes lists of everything, one entry per response, and returns as many scores.
        group: the function takes one task and the lists ``response`` and ``completion_ids`` of all its completions.
        is_async: the function is ``async def``; up to ``concurrency`` calls of it run at once.
        in_process: it must run in the trainer's process (a model on the trainer's device), where no deadline holds.
        demonstrable: a right response can be made from the gold answer. Not so for tests of a program and for instructions:
            the answer says how to judge, and who has no reference cannot show a response that passes.
        cases: gives the verifier's own test cases (`grpo_kit.verifiers.cases.Case`).
        shape: ``native``, or the framework that the function was written for.
    """

    name: str
    function: Callable[..., Any]
    timeout: float = 10.0
    version: str = "1"
    weight: float = 1.0
    parameters: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    batch: bool = False
    group: bool = False
    is_async: bool = False
    in_process: bool = False
    concurrency: int = 16
    demonstrable: bool = True
    cases: Callable[[], Sequence[Any]] | None = None
    shape: str = "native"
    source: Callable[..., Any] | None = None

    @property
    def origin(self) -> str:
        """Where the user's own function stands, as ``file:line``."""
        return origin_of(self.source or self.function)

    @property
    def many(self) -> bool:
        """Whether one call scores several responses."""
        return self.batch or self.group

    def wants(self, argument: str) -> bool:
        return argument in self.parameters or "**" in self.parameters

    def __call__(self, **available: Any) -> Score:
        """Score one response; ``available`` holds everything of `ARGUMENTS` that the caller has.

        Raises whatever the function raises: turning a crash into an abstention is the scoring pool's work.
        """
        if self.many:
            return self.score_many([available])[0]
        result = self.function(**self._pick(available), **self.options)
        if self.is_async:
            result = run_coroutine(result)
        return self.read(result)

    async def score_async(self, available: Mapping[str, Any]) -> Score:
        """Score one response inside a running event loop."""
        return self.read(await self.function(**self._pick(available), **self.options))

    def score_many(self, cases: Sequence[Mapping[str, Any]]) -> list[Score]:
        """Score several responses, in order. For a ``group`` verifier they must be of one task.

        Raises:
            VerifierError: the function did not return one score per response.
        """
        if not self.many:
            return [self(**case) for case in cases]
        if not cases:
            return []
        picked = [self._pick(case) for case in cases]
        listed = PER_RESPONSE if self.group else tuple(picked[0])
        arguments = {name: [case[name] for case in picked] if name in listed else picked[0][name] for name in picked[0]}
        results = self.function(**arguments, **self.options)
        if self.is_async:
            results = run_coroutine(results)
        return self._read_many(results, len(cases))

    def read(self, result: Any, position: int | None = None) -> Score:
        """Turn what the function returned into a `Score`, or say which verifier returned what for which response."""
        try:
            return Score.from_result(result)
        except (TypeError, ValueError, OverflowError) as error:
            where = "" if position is None else f", response {position} of the call"
            raise VerifierError(f"verifier {self.name!r} ({self.origin}){where}: {error}") from error

    def _read_many(self, results: Any, expected: int) -> list[Score]:
        if hasattr(results, "tolist"):  # a NumPy array or a torch tensor
            results = results.tolist()
        if isinstance(results, (str, bytes, Mapping)) or not isinstance(results, Sequence):
            raise VerifierError(
                f"verifier {self.name!r} ({self.origin}) scores {expected} responses in one call and must return a "
                f"list of {expected}; it returned {type(results).__name__}: {results!r:.200}"
            )
        if len(results) != expected:
            raise VerifierError(
                f"verifier {self.name!r} ({self.origin}) was given {expected} responses and returned {len(results)} "
                f"scores: {list(results)!r:.200}"
            )
        return [self.read(result, position) for position, result in enumerate(results)]

    def _pick(self, available: Mapping[str, Any]) -> dict[str, Any]:
        if "**" in self.parameters:
            return {name: available.get(name) for name in ARGUMENTS}
        return {name: available.get(name) for name in self.parameters if name in ARGUMENTS}

    def with_options(self, options: Mapping[str, Any]) -> Verifier:
        """The same verifier with keyword options bound; an option that the function lacks is an error."""
        allowed = [name for name in self.parameters if name not in ARGUMENTS and name != "**"]
        for name in options:
            if name not in allowed:
                close = difflib.get_close_matches(name, allowed, 1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                raise VerifierError(
                    f"verifier {self.name!r} has no option {name!r}; it has: {', '.join(allowed) or 'none'}.{hint}"
                )
        return dataclasses.replace(self, options={**self.options, **options})


def is_async_callable(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def origin_of(function: Callable[..., Any]) -> str:
    """Where a function stands, as ``file:line``."""
    target = inspect.unwrap(function)
    code = getattr(target, "__code__", None) or getattr(getattr(type(target), "__call__", None), "__code__", None)  # noqa: B004
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)
