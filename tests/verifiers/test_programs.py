"""Which part of a response is the program, by what the task asks for."""

import time

import pytest

from grpo_kit.verifiers.programs import fenced_blocks, find_program, wanted
from tests.kit.linear import without_collections

ADD = "def add(a, b):\n    return a + b"
MAIN = "a, b = map(int, input().split())\nprint(a + b)"
FUNCTION, STDIO = wanted(["add"]), wanted((), "stdio")
METHOD = wanted(["Solution.add"], "function")


def fenced(text, label="python", fence="```"):
    return f"{fence}{label}\n{text}\n{fence}\n"


# what stands around the program -> the response; {} is where the program is
AROUND = {
    "alone": fenced("{}"),
    "output behind": fenced("{}") + "Output:\n" + fenced("3", ""),
    "input and output behind": fenced("{}") + "**Input**\n" + fenced("2 3", "") + "**Output**\n" + fenced("5", ""),
    "usage behind": fenced("{}") + "Usage:\n" + fenced("print(sum([1, 2]))  # 3"),
    "test behind": fenced("{}") + "Test:\n" + fenced("assert 2 + 3 == 5"),
    "shell behind": fenced("{}") + "Run:\n" + fenced("python3 solution.py < in.txt", ""),
    "shell with its label": fenced("{}") + fenced("pip install numpy", "bash"),
    "complexity behind": fenced("{}") + fenced("O(n log n)", ""),
    "words behind": fenced("{}") + fenced("Done", ""),
    "another language behind": fenced("{}") + fenced("int main() {{ return 0; }}", "cpp"),
    "json behind": fenced("{}") + fenced('{{"add": 1}}', "json"),
    "earlier attempt": fenced("def add(a, b): return 0\nprint(input())") + "Better:\n" + fenced("{}"),
    "tildes": fenced("{}", fence="~~~"),
    "four marks": fenced("{}", fence="````"),
    "no label": fenced("{}", ""),
    "braces": fenced("{}", "{{python}}"),
    "braces and point": fenced("{}", "{{.python .numberLines}}"),
    "upper case": fenced("{}", "Python"),
    "label with a title": fenced("{}", 'python title="add.py"'),
    "space before the label": fenced("{}", " python"),
    "text behind the fence": "```python\n{}\n```Done.",
    "full stop behind the fence": "```python\n{}\n```.",
    "tag behind the fence": "<answer>\n```python\n{}\n```</answer>",
    "tag before the fence": "<answer>```python\n{}\n```\n</answer>",
    "words before the fence": "Solution: ```python\n{}\n```",
    "fence ends the last line": "```python\n{}```\nDone.",
    "fence and tag end the last line": "```python\n{}```</answer>",
    "never closed": "```python\n{}",
    "carriage returns": "```python\r\n{}\r\n```",
    "thought first": "<think>```python\ndef add(a, b): return 1\n```</think>" + fenced("{}"),
    "markers": "[BEGIN]\n{}\n[DONE]",
    "python markers": "[PYTHON]\n{}\n[/PYTHON]",
    "tag without a fence": "<answer>\n{}\n</answer>",
    "code tag": "Here:\n<code>\n{}\n</code>",
    "prose around": "Sure! Here is the function:\n\n{}\n\nThis returns the sum, as asked.",
    "prose before": "I add the two numbers.\n\n{}",
    "a list of remarks behind": "{}\n\n- It is short.\n- It is fast.",
    "signature behind": fenced("{}") + "It has this form:\n" + fenced("def add(a: int, b: int) -> int:\n    ..."),
    "empty template behind": fenced("{}") + fenced('def add(a, b):\n    """Add."""\n    pass'),
    "template that raises behind": fenced("{}") + fenced("def add(a, b):\n    raise NotImplementedError"),
    "its import behind": fenced("{}") + "In a test:\n" + fenced("from solution import add\nresult = add(1, 2)"),
    "function that nobody calls behind": fenced("{}") + fenced("def main():\n    print(input())"),
    "code-block": fenced("{}", "{{code-block}} python"),
    "byte order mark": fenced("\ufeff{}"),
    "document in a fence": fenced("# Answer\n" + fenced("{}") + "Done.", "markdown", "````"),
    "bare words around": "BEGIN\n{}\nEND",
    "fenced sample, program outside": "Sample:\n```\n1 2\n```\nProgram:\n\n{}\n",
}


@pytest.mark.parametrize("kind", ["function", "stdio"])
@pytest.mark.parametrize("name", AROUND)
def test_the_program_is_found(name, kind):
    source, want = (ADD, FUNCTION) if kind == "function" else (MAIN, STDIO)
    found = find_program(AROUND[name].format(source), want)
    assert found is not None
    assert found.replace("\r", "").strip() == source


@pytest.mark.parametrize(
    "program",
    [
        'def add(a, b):\n    """Add.\n\n    ```\n    add(1, 2)\n    ```\n    """\n    return a + b',
        'def add(a, b):\n    """\n    ```python\n    >>> add(1, 2)\n    ```\n    """\n    return a + b',
        "def add(a, b):\n    '''```'''\n    return a + b",
        "s = '''\n```\n'''\ndef add(a, b):\n    return a + b",
        "class add:\n    x = 1",
        "add = lambda a, b: a + b",
        "try:\n    from operator import add\nexcept ImportError:\n    pass",
        "if True:\n    def add(a, b):\n        return a + b",
        "async def add(a, b):\n    return a + b",
    ],
)
def test_every_form_of_the_entry_point(program):
    assert find_program(fenced(program) + fenced("print(1)"), FUNCTION).strip() == program


def test_a_quoted_line_is_no_program():
    response = fenced(MAIN) + "The key line:\n" + fenced("a, b = map(int, input().split())") + "That is all."
    assert find_program(response, STDIO) == MAIN


def test_a_test_that_replaces_the_input_is_no_program():
    response = fenced(MAIN) + "Test:\n" + fenced("import io, sys\nsys.stdin = io.StringIO('1 2')\nassert add")
    assert find_program(response, STDIO) == MAIN


def test_a_block_with_an_integer_that_python_writes_in_no_other_base_is_put_to_the_others():
    namespace = {}
    exec(
        find_program(fenced(f"M = 0x{'f' * 5000}") + fenced("def add(a, b):\n    return (a + b) % M"), FUNCTION),
        namespace,
    )
    assert namespace["M"] == 16**5000 - 1


def test_a_program_spread_over_blocks_is_put_together():
    response = fenced("import math\ndef plus(a, b):\n    return a + b\nprint(plus(1, 2))") + fenced(
        "def add(a, b):\n    return plus(a, b)"
    )
    namespace = {}
    exec(find_program(response, FUNCTION), namespace)
    assert namespace["add"](2, 3) == 5


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_blocks_lend_from_before_and_behind(order):
    parts = ["import math", "def add(a, b):\n    return math.floor(plus(a, b))", "def plus(a, b):\n    return a + b"]
    namespace = {}
    exec(find_program("Then\n".join(fenced(parts[i]) for i in order), FUNCTION), namespace)
    assert namespace["add"](2, 3) == 5


@pytest.mark.parametrize(
    "response",
    [
        "The code:\n\n    def add(a, b):\n        return a + b\n\nDone.",
        "Just use `def add(a, b): return a + b`.",
    ],
)
def test_markdown_code_without_a_fence(response):
    namespace = {}
    exec(find_program(response, FUNCTION), namespace)
    assert namespace["add"](2, 3) == 5


@pytest.mark.parametrize("body", ["...", "pass", "raise NotImplementedError"])
def test_a_signature_alone_is_what_was_answered(body):
    assert find_program(fenced(f"def add(a, b):\n    {body}"), FUNCTION).startswith("def add")


def test_a_method_may_stand_in_its_class_or_alone():
    whole = "class Solution:\n    def add(self, a, b):\n        return a + b"
    assert find_program(fenced(whole) + fenced("Solution().add(1, 2)"), METHOD) == whole
    assert find_program(fenced(ADD) + fenced("3", ""), METHOD) == ADD


def test_items_of_a_list_and_quotations():
    listed = "1. First\n   ```python\n   def add(a, b):\n       return a + b\n   ```\n2. Then"
    quoted = "> ```python\n> def add(a, b):\n>     return a + b\n> ```\n"
    session = fenced(">>> def add(a, b):\n...     return a + b\n>>> add(1, 2)\n3")
    assert find_program(listed, FUNCTION) == ADD
    assert find_program(quoted, FUNCTION) == ADD
    assert find_program(session, FUNCTION).startswith(ADD)


@pytest.mark.parametrize("response", ["", "  \n", "```python\n\n```", "```" * 3, fenced("ls", "bash")])
def test_there_is_no_program(response):
    assert find_program(response, FUNCTION) is None


def test_different_tagged_answers_are_none():
    assert find_program(f"<answer>{ADD}</answer><answer>{ADD}1</answer>", FUNCTION) is None


def test_blocks_and_what_is_outside():
    blocks, outside, found = fenced_blocks("a\n```py\nx\n```b\nc ```y``` d")
    assert (blocks, found) == ([("py", "x"), ("", "y")], True)
    assert "b" not in outside.split("\n")[:2]


HOSTILE = (
    *("```", "```python\n", "~~~\n", '"""', '```\n"""\n', "(", "[", "{", "@", "def f(\n", "x\n", "if 1:\n", "a.", "-"),
    *("lambda:", "<answer>", "f'{", "\\\n", "\x00", "x=1;", "else:\n", "> ", "[BEGIN]", " ", "\n", "\t", "`", "é"),
)


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_texts_take_linear_time(unit):
    """Eight times the text costs at most 24 times as much: a quadratic step costs 64 times. CPU time, so load is no matter."""

    def cost(size):
        text = unit * (size // len(unit))
        tries = []
        for _ in range(2):
            start = time.process_time()
            find_program(text, FUNCTION)
            find_program(f"```python\n{text}", STDIO)
            tries.append(time.process_time() - start)
        return min(tries)

    with without_collections():
        assert cost(12_000) < max(0.05, 24 * cost(1_500))
