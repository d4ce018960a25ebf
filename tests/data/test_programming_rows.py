"""Rows of programming datasets and of IFEval, as they are published, reach a training recipe and its checks."""

import base64
import json
import pickle
import zlib

import pytest

from grpo_kit.config.read import validate
from grpo_kit.config.source import parse_yaml
from grpo_kit.errors import UserError
from grpo_kit.train.preflight import preflight

SUM = "a, b = map(int, input().split())\nprint(a + b)"
TESTS = json.dumps({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]})
CASES = json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}])
PACKED = base64.b64encode(zlib.compress(pickle.dumps(CASES))).decode()
APPS = {"question": "Add.", "solutions": json.dumps([SUM]), "input_output": TESTS, "starter_code": ""}
ROWS = {
    "apps": APPS | {"problem_id": 0, "difficulty": "introductory", "url": ""},
    "taco": APPS | {"time_limit": "2.0 seconds", "memory_limit": "256.0 megabytes", "name": None, "raw_tags": "[]"},
    "codecontests": {
        "name": "1_A. Sum", "description": "Add.", "time_limit": None, "memory_limit_bytes": 256_000_000,
        "public_tests": {"input": ["1 2\n"], "output": ["3\n"]}, "private_tests": {"input": [], "output": []},
        "generated_tests": {"input": ["4 4"], "output": ["8"]}, "solutions": {"language": [2, 3], "solution": ["int", SUM]},
    },
    "livecodebench": {
        "question_id": "abc", "question_content": "Add.", "public_test_cases": CASES, "private_test_cases": PACKED,
        "starter_code": "", "metadata": "{}", "platform": "atcoder",
    },
}  # fmt: skip
KODCODE = {
    "question_id": "Algorithm_1_I", "question": "Write add(a, b).", "solution": "def add(a, b):\n    return a + b",
    "test": "import pytest\nfrom solution import add\n\n@pytest.mark.parametrize('a', [1, 2])\ndef test_add(a):\n"
    "    assert add(a, 1) == a + 1\n",
    "test_info": [{"function_name": "add", "function_declaration": "def add(a, b):"}], "style": "instruct",
}  # fmt: skip
ROWS["kodcode"] = KODCODE
ID = {
    "apps": "problem_id",
    "taco": "",
    "codecontests": "name",
    "livecodebench": "question_id",
    "kodcode": "question_id",
}
INSTRUCTIONS = {
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [
        {"num_words": None, "relation": None, "language": None},
        {"num_words": 2, "relation": "at least", "language": None},
    ],
}
RECIPE = """
algorithm: grpo
model: {scratch: {hidden_size: 16, intermediate_size: 16, layers: 1, heads: 2}}
rollout: {prompts_per_step: 2, group_size: 2, max_tokens: 8}
train: {steps: 1}
scoring: {workers: 0}
evaluation: null
verifiers: [{name: %s}]
data: {path: %s, %s}
"""


def plan(tmp_path, rows, settings, verifier="code"):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return preflight(validate(parse_yaml(RECIPE % (verifier, path, settings), "recipe")), None)


@pytest.mark.parametrize("name", ROWS)
def test_published_rows_train(name, tmp_path):
    rows = [ROWS[name] | ({ID[name]: f"{i}"} if ID[name] else {}) for i in range(4)]
    found = plan(tmp_path, rows, f"format: {name}")
    assert found.gold_rejected == []
    shown = name == "livecodebench"  # which has no solutions
    assert found.gold_checked == (0 if shown else 4)
    assert any("hold no response that passes" in note for note in found.notes) is shown


def test_rows_without_tests_are_refused_or_left_out(tmp_path):
    rows = [ROWS["apps"] | {"problem_id": i, "input_output": "" if i == 1 else TESTS} for i in range(4)]
    with pytest.raises(UserError, match=r"row 1: no tests in input_output.*data.unmatched=skip"):
        plan(tmp_path, rows, "format: apps")
    found = plan(tmp_path, rows, "format: apps, unmatched: skip")
    assert (found.gold_checked, found.notes[0]) == (3, "data.format apps: 1 rows without an answer are left out")


def test_a_file_that_needs_more_than_its_own_fixtures_is_left_out(tmp_path):
    test = KODCODE["test"] + "def test_files(tmp_path):\n    assert add(1, 1) == 2\n"
    rows = [KODCODE | {"question_id": f"{i}", "test": test if i == 1 else KODCODE["test"]} for i in range(4)]
    with pytest.raises(UserError, match=r"row 1: .*test_files takes 'tmp_path', a fixture that is not in the file"):
        plan(tmp_path, rows, "format: kodcode")
    found = plan(tmp_path, rows, "format: kodcode, unmatched: skip")
    assert found.gold_checked == 3


@pytest.mark.parametrize("change", [{"input_output": "{"}, {"input_output": "[1]"}, {"solutions": "["}])
def test_a_damaged_row_is_an_error_with_its_number(change, tmp_path):
    with pytest.raises(UserError, match=r"data.format apps: row 0: "):
        plan(tmp_path, [ROWS["apps"] | change] * 2, "format: apps")


FIELDS = "fields: {prompt: prompt, answer: instruction_id_list}"


def test_rows_of_instructions_train_and_bad_ones_are_refused(tmp_path):
    rows = [INSTRUCTIONS | {"key": i, "prompt": f"Write {i} words."} for i in range(4)]
    assert plan(tmp_path, rows, FIELDS, "ifeval").gold_rejected == []
    with pytest.raises(UserError, match="no instruction 'punctuation:no_dot'"):
        plan(tmp_path, [row | {"instruction_id_list": ["punctuation:no_dot"] * 2} for row in rows], FIELDS, "ifeval")
