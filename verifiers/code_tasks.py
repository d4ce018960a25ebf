"""Rows of the well-known programming datasets as tasks for the ``code`` verifier.

Each function takes one row and returns ``{"id", "prompt", "answer", "reference"}``: the text for the model, what the
verifier takes as its ``answer``, and a solution that must pass it (None where the dataset has none).
"""

from __future__ import annotations

import ast
import base64
import binascii
import json
import pickletools
import re
import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from .code import CodeTask, TaskError, run_task


def from_humaneval(row: Mapping[str, Any]) -> dict[str, Any]:
    """HumanEval: ``prompt``, ``test`` with a ``check(candidate)``, ``entry_point``, ``canonical_solution``.

    What stands before the function in the prompt (imports, helper functions) is given to program and tests as the
    task's setup, so that a program cannot replace a helper by which it is judged.
    """
    from grpo_kit.sandbox.wire.calls import split

    name, prompt = row["entry_point"], row["prompt"]
    start = re.search(rf"^(?:async[ \t]+)?def[ \t]+{re.escape(name)}\b", prompt, re.MULTILINE)
    if start is None:
        raise TaskError(f"{row.get('task_id')}: the prompt does not define {name!r}")
    setup = prompt[: start.start()]
    answer = {
        "kind": "assert",
        "tests": split(f"{row['test']}\ncheck({name})\n"),
        "entry_point": name,
        "setup": setup,
        "prompt": prompt[start.start() :],
    }
    return _task(row, prompt, answer, prompt + row["canonical_solution"])


def from_mbpp(row: Mapping[str, Any]) -> dict[str, Any]:
    """MBPP: ``text`` (or ``prompt``), ``test_list``, ``test_setup_code``, ``code``. The first test goes to the model.

    MBPP does not name the function: it is what the tests call and the reference solution defines.
    """
    tests = list(row["test_list"])
    reference = row.get("code") or ""
    names = called_names(tests, reference)
    text = row.get("text") or row.get("prompt") or ""
    prompt = f"{text}\nYour code should pass this test:\n{tests[0]}\n"
    answer = {
        "kind": "assert",
        "tests": tests,
        "entry_point": names or None,
        "setup": row.get("test_setup_code") or "\n".join(row.get("test_imports") or ()),
    }
    return _task(row, prompt, answer, reference or None)


def called_names(tests: Sequence[str], reference: str) -> list[str]:
    """Functions and classes that the tests call and the reference solution defines at its top level."""
    try:
        body = ast.parse(reference).body
        trees = [ast.parse(test) for test in tests]
    except (SyntaxError, ValueError) as error:
        raise TaskError(f"a test or the reference solution does not parse: {error}") from None
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = {node.name for node in body if isinstance(node, kinds)}
    called = {
        node.func.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return sorted(defined & called)


def from_evalplus(row: Mapping[str, Any], use_plus: bool = True, backend: str = "auto") -> dict[str, Any]:
    """EvalPlus: ``base_input``, ``plus_input``, ``canonical_solution``, ``entry_point``, ``atol``.

    The expected values are what the canonical solution returns, computed here in the sandbox.

    Raises:
        TaskError: it fails on one of the inputs.
    """
    from .code import _sandbox

    inputs = list(row["base_input"]) + (list(row.get("plus_input") or ()) if use_plus else [])
    reference = row["canonical_solution"]
    if not re.search(rf"^def[ \t]+{re.escape(row['entry_point'])}\b", reference, re.MULTILINE):
        reference = row["prompt"] + reference
    expected = _sandbox(backend, ()).run_calls(reference, row["entry_point"], inputs)
    tests = [{"input": i, "output": o} for i, o in zip(inputs, expected, strict=True)]
    answer = {
        "kind": "function",
        "tests": tests,
        "entry_point": row["entry_point"],
        "tolerance": row.get("atol") or None,
        "prompt": row["prompt"] if "def " in row["prompt"] else "",
        "judge": False,
    }
    return _task(row, row["prompt"], answer, reference)


_ERROR_ALLOWED = re.compile(
    r"(?:error|within|tolerance|accepted|differ|precision)[^.\n]{0,80}?10\s*(?:\^|\*\*)?\s*\{?\s*[-\u2212\u2013]\s*([0-9]{1,2})"
    r"|(?:error|within|tolerance|accepted|differ|precision)[^\n]{0,80}?1e-([0-9]{1,2})",
    re.IGNORECASE,
)


def asked_tolerance(question: str) -> float | None:
    """The error that the text of a task allows ("answers within 10^{-5} will be accepted"), or None."""
    found = _ERROR_ALLOWED.search(question.replace("$", ""))
    return 10.0 ** -int(found[1] or found[2]) if found else None


def from_apps(row: Mapping[str, Any]) -> dict[str, Any]:
    """APPS and alike: ``question``, ``input_output`` ({"inputs", "outputs", "fn_name"?}), ``starter_code``."""
    data = row["input_output"]
    data = _loads(data or "{}") if isinstance(data, str) else data
    if not data or not data.get("inputs"):
        raise TaskError("no tests in input_output")
    inputs, outputs, name = data["inputs"], data["outputs"], data.get("fn_name")
    starter = row.get("starter_code") or ""
    pairs = zip(inputs, outputs, strict=True)
    answer: dict[str, Any]
    if name:
        # Many rows wrap the expected value in a list of one; which was meant, the row does not say.
        wrapped = [o if isinstance(o, list) and len(o) == 1 else None for o in outputs]
        tests = [{"input": i, "output": o} for i, o in pairs]
        for test, value in zip(tests, wrapped, strict=True):
            if value is not None:
                test["or_output"] = value[0]
        answer = {"kind": "function", "tests": tests, "entry_point": _method(name, starter)}
    else:
        answer = {"kind": "stdio", "tests": [{"input": _lines(i), "output": _lines(o)} for i, o in pairs]}
    answer["tolerance"] = asked_tolerance(row["question"])
    solutions = row.get("solutions")
    solutions = _loads(solutions) if isinstance(solutions, str) and solutions.strip() else solutions
    prompt = f"{row['question']}\n{starter}" if starter else row["question"]
    return _task(row, prompt, answer, solutions[0] if solutions else None)


def from_taco(row: Mapping[str, Any]) -> dict[str, Any]:
    """TACO: the fields of APPS, with time and memory limits as texts ("2.0 seconds", "256.0 megabytes")."""
    made = from_apps(row)
    seconds, megabytes = (_amount(row.get(name)) for name in ("time_limit", "memory_limit"))
    return made | {"answer": made["answer"] | _limits(seconds, megabytes)}


def _amount(text: Any) -> float | None:
    found = re.search(r"[0-9]+(?:\.[0-9]+)?", str(text or ""))
    return float(found[0]) if found else None


def _limits(seconds: float | None, megabytes: float | None) -> dict[str, Any]:
    """Limits for a Python program: judges state them for C++, and give Python several times as long."""
    limits: dict[str, Any] = {}
    if seconds and seconds > 0:
        limits["cpu_s"] = min(60.0, max(5.0, 3 * seconds))
        limits["wall_s"] = 4 * limits["cpu_s"]
    if megabytes and megabytes > 512:
        limits["memory_mb"] = min(4096, int(megabytes))
    return {"limits": limits} if limits else {}


_CODECONTESTS_PYTHON3 = 3  # of its languages: 1 Python 2, 2 C++, 3 Python 3, 4 Java


def from_codecontests(row: Mapping[str, Any], use_generated: bool = True) -> dict[str, Any]:
    """CodeContests: ``description``, ``public_``, ``private_`` and ``generated_tests``, ``time_limit``, ``solutions``.

    Judged as by its own grader: word by word in any case, numbers within 1e-5. The reference is its first right
    solution in Python 3, if it has one.
    """
    names = ["public_tests", "private_tests", *(["generated_tests"] if use_generated else [])]
    tests: list[dict[str, Any]] = []
    for name in names:
        group = row.get(name) or {}
        if isinstance(group, Mapping):
            pairs = list(zip(group.get("input") or (), group.get("output") or (), strict=True))
        else:
            pairs = [(case["input"], case["output"]) for case in group]
        tests += [{"input": i, "output": o} for i, o in pairs]
    if not tests:
        raise TaskError(f"{row.get('name')}: no tests in {', '.join(names)}")
    limit = row.get("time_limit") or {}
    if isinstance(limit, Mapping):  # of a row, or of the protocol buffer's fields, which may be null
        seconds: float | None = (limit.get("seconds") or 0) + (limit.get("nanos") or 0) / 1e9
    else:
        seconds = _amount(limit)
    megabytes = (row.get("memory_limit_bytes") or 0) / 2**20
    answer = {"kind": "stdio", "tests": tests, "layout": "tokens", **_limits(seconds, megabytes)}
    solutions = row.get("solutions") or {}
    if isinstance(solutions, Mapping):
        listed = list(zip(solutions.get("language") or (), solutions.get("solution") or (), strict=False))
    else:
        listed = [(entry.get("language"), entry.get("solution")) for entry in solutions]
    found = (text for language, text in listed if language in (_CODECONTESTS_PYTHON3, "PYTHON3"))
    return _task({"id": row.get("name")}, row["description"], answer, next(found, None))


def from_livecodebench(row: Mapping[str, Any]) -> dict[str, Any]:
    """LiveCodeBench: ``question_content``, ``public_`` and ``private_test_cases``, ``starter_code``, ``metadata``."""
    cases = json.loads(row["public_test_cases"]) + _private_cases(row.get("private_test_cases") or "[]")
    starter = row.get("starter_code") or ""
    answer: dict[str, Any]
    if cases and cases[0].get("testtype") == "functional":
        name = json.loads(row["metadata"])["func_name"]
        tests = [{"input": _json_lines(c["input"]), "output": _loads(c["output"])} for c in cases]
        answer = {"kind": "function", "tests": tests, "entry_point": _method(name, starter)}
    else:
        answer = {"kind": "stdio", "tests": [{"input": c["input"], "output": c["output"]} for c in cases]}
    answer["tolerance"] = asked_tolerance(row["question_content"])
    prompt = f"{row['question_content']}\n{starter}" if starter else row["question_content"]
    return _task(row, prompt, answer, None)


def from_kodcode(row: Mapping[str, Any]) -> dict[str, Any]:
    """KodCode: ``question``, ``test`` (a file for pytest), ``solution``, ``test_info`` ([{``function_name``,
    ``function_declaration``}]). What the question does not name is declared behind it.
    """
    declared = [info for info in row.get("test_info") or () if info.get("function_name")]
    names = [info["function_name"] for info in declared]
    missing = [
        info["function_declaration"].strip() for info in declared if info["function_name"] not in row["question"]
    ]
    prompt = row["question"]
    if missing:
        prompt = "\n".join([prompt, "", "Your code is tested by what it defines as", *missing])
    answer = {"kind": "pytest", "tests": [row["test"]], "entry_point": names or None}
    CodeTask.read(answer)  # a row whose tests need more than is here is told from others
    return _task(row, prompt, answer, row["solution"])


def _json_lines(text: str) -> list[Any]:
    return [_loads(line) for line in text.split("\n") if line.strip()]


def _loads(text: str) -> Any:
    """JSON whose numbers may be longer than Python reads from text: some tests have thousands of digits."""
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 4000 else int(Decimal(digits)))


def _private_cases(text: str) -> list[Any]:
    """The dataset packs them as base64 of zlib of a pickled text. The text is read out; nothing is unpickled."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        packed = zlib.decompress(base64.b64decode(text))
        found = next(argument for _, argument, _ in pickletools.genops(packed) if isinstance(argument, str))
        return json.loads(found)
    except (ValueError, binascii.Error, zlib.error, StopIteration) as error:
        raise TaskError(f"private_test_cases cannot be read: {error}") from None


def _method(name: str, starter: str) -> str:
    return f"Solution.{name}" if re.search(r"^class[ \t]+Solution\b", starter, re.MULTILINE) else name


def _lines(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _task(row: Mapping[str, Any], prompt: str, answer: dict[str, Any], reference: str | None) -> dict[str, Any]:
    label = row.get("task_id", row.get("question_id", row.get("problem_id", row.get("id"))))
    answer = {key: value for key, value in answer.items() if value not in (None, "")}
    return {"id": label, "prompt": prompt, "answer": answer, "reference": reference}


def check_reference(task: Mapping[str, Any], backend: str = "auto") -> str | None:
    """Why a task's own reference solution does not pass its tests, or None. For a dry run over a dataset."""
    if not task.get("reference"):
        return None
    try:
        result = run_task(task["reference"], CodeTask.read(task["answer"]), backend)
    except TaskError as error:
        return f"task {task['id']!r}: {error}"
    if result.passed:
        return None
    where = result.first_failure
    place = f" in test {where + 1} of {len(result.tests)}" if where is not None else ""
    return f"task {task['id']!r}: its reference solution fails{place}: {result.verdict}: {result.reason}"
