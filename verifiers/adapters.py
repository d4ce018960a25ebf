"""Functions written for other frameworks, recognised by their parameter names and run unchanged.

| framework | recognised by |
|---|---|
| TRL | ``completions`` (batch, columns as keyword arguments, sync or async), or ``completion_ids, **kwargs`` |
| verl | ``solution_str, ground_truth`` or, in batches, ``solution_strs, ground_truths`` |
| OpenRLHF | ``queries, prompts, labels`` |
| open-instruct | ``prediction, label`` |
| Prime Intellect verifiers v0 | ``completion`` with ``prompt, answer, state, info, task`` |
| reasoning-gym | ``answer, entry`` |
| lm-eval | ``doc, results`` |

Each adapter builds a function of our own signature around the foreign one. Scores keep the foreign range.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

from grpo_kit.types import Score, numbers_in, plain_number

from .base import Verifier, VerifierError, is_async_callable, origin_of
from .final_answer import final_answer
from .foreign import evaluation_in

# Names under which other frameworks keep the gold answer, when the task has no column of that name.
GOLD_NAMES = ("answer", "ground_truth", "solution", "target", "label", "reference", "gold")


def adapt(function: Callable[..., Any], label: str, settings: Mapping[str, Any]) -> Verifier | None:
    """Our verifier around a function of another framework; None when it has no known shape."""
    names = set(inspect.signature(function).parameters)
    found = next(((shape, build) for shape, required, build in SHAPES if required <= names), None)
    if found is None and takes_only_ids(function):
        found = ("TRL", _trl)
    if found is None:
        return None
    shape, build = found
    taken = set(settings) & {"batch", "group"}
    if taken:
        raise VerifierError(
            f"verifier {label!r} ({origin_of(function)}) has the shape of a {shape} function, which fixes how it is "
            f"called: remove {', '.join(sorted(taken))}"
        )
    _refuse_evaluators(function, label)
    adapted, batch = build(function, label)
    return Verifier(
        label,
        adapted,
        parameters=tuple("**" if p.kind is p.VAR_KEYWORD else p.name for p in _parameters(adapted)),
        is_async=inspect.iscoroutinefunction(adapted),
        batch=batch,
        shape=shape,
        source=function,
        **settings,
    )


# Arguments that a framework hands over and nothing stands for here, with why. A column of that name is taken.
NOT_HERE = {
    "reward_model": "a reward model of the trainer's: load it in the function, or use the verifier 'reward_model'",
    "parser": "a parser object of the framework: make it in the function",
    "judge": "a judge of the framework: use the verifier 'judge'",
}


class TrainerState:
    """Stands for TRL's ``trainer_state``. Verifiers run in processes of their own and judge a response, not a moment.

    A function may take it; what it reads of it is an error that says so, never a made-up step.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise VerifierError(
            f"this function reads trainer_state.{name}: verifiers run in processes of their own, which know of no step, "
            "so that a response scores the same whenever it is judged. Remove what depends on it"
        )


class _Logged:
    """TRL's ``log_metric`` and ``log_extra`` of one call: what they are given becomes the metrics of its scores."""

    def __init__(self, count: int) -> None:
        self.metrics: list[dict[str, float]] = [{} for _ in range(count)]

    def log_metric(self, name: str, value: Any) -> None:
        """A number of the whole call: the metric of each of its responses."""
        for metrics in self.metrics:
            metrics.update(numbers_in({name: value}))

    def log_extra(self, column: str, values: Any) -> None:
        """One value per response; those that are numbers are kept."""
        listed = values.tolist() if hasattr(values, "tolist") else list(values)
        for metrics, value in zip(self.metrics, listed, strict=False):
            metrics.update(numbers_in({column: value}))

    def attached(self, results: Any) -> Any:
        """``results`` with the metrics, where something was logged."""
        if not any(self.metrics):
            return results
        listed = results.tolist() if hasattr(results, "tolist") else results
        if not isinstance(listed, (list, tuple)) or len(listed) != len(self.metrics):
            return results
        pairs = zip(listed, self.metrics, strict=True)
        return [None if value is None else {"score": value, "metrics": metrics} for value, metrics in pairs]


# Packages of the frameworks: their scorers are not the user's own code, so nobody has looked at what they do with text.
FRAMEWORKS = frozenset({"reasoning_gym", "verl", "trl", "lm_eval", "openrlhf", "open_instruct"})


def _refuse_evaluators(function: Callable[..., Any], label: str) -> None:
    """Raises VerifierError for a framework's own scorer that evaluates what a model wrote as code."""
    if (getattr(function, "__module__", "") or "").partition(".")[0] not in FRAMEWORKS:
        return
    if where := evaluation_in(function):
        raise VerifierError(
            f"verifier {label!r} evaluates text as code ({where}), so that a response could run anything on this "
            "machine; it is not used. Write the check in a file of your own, without evaluating the response"
        )


def takes_only_ids(function: Callable[..., Any]) -> bool:
    """Whether this is ``f(completion_ids, **kwargs)``: TRL's length rewards, which would pass for one of ours."""
    parameters = _parameters(function)
    return {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} == {"completion_ids"} and len(parameters) == 2


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


class Foreign:
    """A foreign function and how to give it its arguments."""

    def __init__(self, function: Callable[..., Any], label: str) -> None:
        self.function = function
        self.label = label
        parameters = _parameters(function)
        self.open = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.optional = {p.name for p in parameters if p.default is not p.empty}
        self.names = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        self.is_async = is_async_callable(function)
        self.chat = _mentions(function, "content")

    def accepted(self, offered: Mapping[str, Any]) -> dict[str, Any]:
        """Of what can be offered, what the function takes; a required argument that is not there is an error."""
        given = dict(offered) if self.open else {name: offered[name] for name in self.names if name in offered}
        for name in self.names:
            if name not in given and name not in self.optional and name in NOT_HERE:
                raise VerifierError(
                    f"verifier {self.label!r} ({origin_of(self.function)}) wants {name!r}, {NOT_HERE[name]}. Give the "
                    "parameter a default, or wrap the function"
                )
            if name not in given and name not in self.optional:
                raise VerifierError(
                    f"verifier {self.label!r} ({origin_of(self.function)}) wants {name!r}; this task offers "
                    f"{', '.join(sorted(map(str, offered)))}. Add a column {name!r} to the data"
                )
        return given

    def say(self, response: str) -> Any:
        """A response as the function expects it: chat messages when it looks for ``content``, else text."""
        return [{"role": "assistant", "content": response}] if self.chat else response


def _mentions(function: Callable[..., Any], word: str) -> bool:
    """Whether ``word`` is a string constant in the function's code: how a chat function is told from a text one."""
    target = inspect.unwrap(function)
    code = getattr(target, "__code__", None) or getattr(getattr(type(target), "__call__", None), "__code__", None)  # noqa: B004
    waiting: list[CodeType] = [code] if code is not None else []
    while waiting:
        for constant in waiting.pop().co_consts:
            if isinstance(constant, CodeType):
                waiting.append(constant)
            elif constant == word:
                return True
    return False


def _columns(answer: Any, meta: Any) -> dict[str, Any]:
    """The task's columns, and the gold answer under the names that it may be asked for by."""
    return dict.fromkeys(GOLD_NAMES, answer) | (dict(meta) if isinstance(meta, Mapping) else {})


def _trl(function: Callable[..., Any], label: str) -> tuple[Callable[..., Any], bool]:
    foreign = Foreign(function, label)

    def arguments(
        response: list[str], answer: list[Any], meta: list[Any], messages: list[Any], completion_ids: list[Any],
        prompt: list[Any], logged: _Logged,
    ) -> dict[str, Any]:  # fmt: skip
        rows = [_columns(gold, columns) for gold, columns in zip(answer, meta, strict=True)]
        shared = set.intersection(*(set(row) for row in rows))
        offered: dict[str, Any] = {name: [row[name] for row in rows] for name in shared}
        if foreign.open:  # of the gold's many names, only those that the function or the data knows
            known = {name for columns in meta for name in (columns or {})} | set(foreign.names)
            asked = {name for name in GOLD_NAMES if _mentions(function, name)}
            offered = {k: v for k, v in offered.items() if k in known or k in asked or k == "answer"}
        offered |= {
            "prompts": messages if foreign.chat else prompt,
            "completions": [foreign.say(text) for text in response],
            "completion_ids": completion_ids,
            "trainer_state": TrainerState(),
            "log_metric": logged.log_metric,
            "log_extra": logged.log_extra,
        }
        return foreign.accepted(offered)

    if foreign.is_async:

        async def score_async(
            response: Any, answer: Any, meta: Any, messages: Any, completion_ids: Any, prompt: Any
        ) -> Any:
            logged = _Logged(len(response))
            given = arguments(response, answer, meta, messages, completion_ids, prompt, logged)
            return logged.attached(await function(**given))

        return score_async, True

    def score(response: Any, answer: Any, meta: Any, messages: Any, completion_ids: Any, prompt: Any) -> Any:
        logged = _Logged(len(response))
        return logged.attached(function(**arguments(response, answer, meta, messages, completion_ids, prompt, logged)))

    return score, True


# What verl hands over as None where it serves no reward model and has no code sandbox.
SERVICES = (
    *("reward_router_address", "reward_model_tokenizer"),
    *("sandbox_fusion_url", "concurrent_semaphore", "memory_limit_mb"),
)


def _verl(function: Callable[..., Any], label: str) -> tuple[Callable[..., Any], bool]:
    foreign = Foreign(function, label)

    def arguments(response: str, answer: Any, meta: Any) -> dict[str, Any]:
        columns = meta if isinstance(meta, Mapping) else {}
        return foreign.accepted(
            {
                "data_source": columns.get("data_source", "unknown"),
                "solution_str": response,
                "ground_truth": answer,
                "extra_info": columns.get("extra_info", dict(columns)),
                **{name: columns.get(name) for name in SERVICES},
            }
        )

    if foreign.is_async:

        async def score_async(response: str, answer: Any, meta: Any) -> Any:
            return await function(**arguments(response, answer, meta))

        return score_async, False

    def score(response: str, answer: Any, meta: Any) -> Any:
        return function(**arguments(response, answer, meta))

    return score, False


def _verl_batch(function: Callable[..., Any], label: str) -> tuple[Callable[..., Any], bool]:
    foreign = Foreign(function, label)

    def arguments(response: list[str], answer: list[Any], meta: list[Any]) -> dict[str, Any]:
        columns = [row if isinstance(row, Mapping) else {} for row in meta]
        offered = {
            "data_sources": [row.get("data_source", "unknown") for row in columns],
            "solution_strs": response,
            "ground_truths": answer,
            "extra_infos": [row.get("extra_info", dict(row)) for row in columns],
            **dict.fromkeys(SERVICES),
        }
        return foreign.accepted(offered)

    if foreign.is_async:

        async def score_async(response: list[str], answer: list[Any], meta: list[Any]) -> Any:
            return await function(**arguments(response, answer, meta))

        return score_async, True

    def score(response: list[str], answer: list[Any], meta: list[Any]) -> Any:
        return function(**arguments(response, answer, meta))

    return score, True


def _openrlhf(function: Callable[..., Any], label: str) -> tuple[Callable[..., Any], bool]:
    foreign = Foreign(function, label)

    def score(response: list[str], answer: list[Any], prompt: list[str]) -> Any:
        queries = [before + text for before, text in zip(prompt, response, strict=True)]
        result = function(**foreign.accepted({"queries": queries, "prompts": prompt, "labels": answer}))
        if not isinstance(result, Mapping):  # a tensor may have a column of its own
            return _listed(result, len(response)) if hasattr(result, "tolist") else result
        rewards = _listed(result.get("rewards", result.get("scores")), len(response))
        logs = {name: _listed(values, len(response)) for name, values in (result.get("extra_logs") or {}).items()}
        return [
            {"score": reward, "metrics": numbers_in({name: values[i] for name, values in logs.items()})}
            for i, reward in enumerate(rewards)
        ]

    return score, True


def _listed(values: Any, count: int) -> list[Any]:
    listed = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(listed, (list, tuple)) or len(listed) != count:
        raise TypeError(f"a verifier of the OpenRLHF shape must return {count} rewards; got {values!r:.200}")
    return [value[0] if isinstance(value, list) and len(value) == 1 else plain_number(value) for value in listed]


def _open_instruct(function: Callable[..., Any], label: str) -> tuple[Callable[..., Any], bool]:
    foreign = Foreign(function, label)

    def arguments(response: str, answer: Any, prompt: Any, completion_ids: Any) -> dict[str, Any]:
        return foreign.accepted(
            {
                "tokenized_prediction": list(completion_ids or ()),
                "prediction": response,
                "label": answer,
                "query": prompt,
            }
        )

    if foreign.is_async:

        async def score_async(response: str, answer: Any, prompt: Any, completion_ids: Any) -> Any:
            return _from_object(await function(**arguments(response, answer, prompt, completion_ids)))

        return score_async, False

    def score(response: str, answer: Any, prompt: Any, completion_ids: Any) -> Any:
        return _from_object(function(**arguments(response, answer, prompt, completion_ids)))

    return score, False


def _from_object(result: Any) -> Any:
    if isinstance(result, Score) or not hasattr(result, "score"):
        return result
    return {"score": result.score, "reason": getattr(result, "reasoning", None) or ""}


def _prime(function: Callable[..., Any], label: str) -> tuple[Callable[..., Any], bool]:
    foreign = Foreign(function, label)

    def arguments(response: str, answer: Any, prompt: Any, meta: Any, messages: Any) -> dict[str, Any]:
        columns = dict(meta) if isinstance(meta, Mapping) else {}
        completion = [{"role": "assistant", "content": response}] if foreign.chat else response
        state = {
            "prompt": list(messages or ()) if foreign.chat else prompt,
            "completion": completion,
            "answer": answer,
            "info": columns.get("info", columns),
            "task": columns.get("task", "default"),
        }
        return foreign.accepted(state | {"state": state} | {k: v for k, v in columns.items() if k not in state})

    if foreign.is_async:

        async def score_async(response: str, answer: Any, prompt: Any, meta: Any, messages: Any) -> Any:
            return await function(**arguments(response, answer, prompt, meta, messages))

        return score_async, False

    def score(response: str, answer: Any, prompt: Any, meta: Any, messages: Any) -> Any:
        return function(**arguments(response, answer, prompt, meta, messages))

    return score, False


def _reasoning_gym(function: Callable[..., Any], label: str) -> tuple[Callable[..., Any], bool]:
    def score(response: str, answer: Any, prompt: Any, meta: Any) -> Any:
        columns = dict(meta) if isinstance(meta, Mapping) else {}
        entry = columns.get("entry") or {"question": prompt, "answer": answer, "metadata": columns}
        found = final_answer(response)
        return {"score": function(answer=found.text, entry=entry), "extracted": found.text, "reason": found.reason}

    return score, False


def _lm_eval(function: Callable[..., Any], label: str) -> tuple[Callable[..., Any], bool]:
    def score(response: str, answer: Any, prompt: Any, meta: Any, metric: str = "") -> Any:
        columns = dict(meta) if isinstance(meta, Mapping) else {}
        doc = columns.get("doc") or {"question": prompt, **dict.fromkeys(GOLD_NAMES, answer), **columns}
        result = function(doc, [response])
        if not isinstance(result, Mapping):
            return result
        name = metric or next((key for key in ("exact_match", "acc", "score") if key in result), "")
        if not name and len(result) == 1:
            (name,) = result
        if name not in result:
            raise ValueError(
                f"verifier {label!r} returned the metrics {', '.join(map(str, result))}; say which one is the reward "
                "with the option 'metric'"
            )
        others = numbers_in({k: v for k, v in result.items() if k != name})
        return {"score": result[name], "metrics": others}

    return score, False


Build = Callable[[Callable[..., Any], str], tuple[Callable[..., Any], bool]]
SHAPES: tuple[tuple[str, set[str], Build], ...] = (
    ("verl", {"solution_str", "ground_truth"}, _verl),
    ("verl", {"solution_strs", "ground_truths"}, _verl_batch),
    ("OpenRLHF", {"queries", "prompts"}, _openrlhf),
    ("TRL", {"completions"}, _trl),
    ("open-instruct", {"prediction", "label"}, _open_instruct),
    ("Prime Intellect verifiers", {"completion"}, _prime),
    ("reasoning-gym", {"answer", "entry"}, _reasoning_gym),
    ("lm-eval", {"doc", "results"}, _lm_eval),
)
