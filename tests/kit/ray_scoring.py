"""Programs to score on a cluster."""

from grpo_kit.scoring import VerifierSpec
from grpo_kit.types import Completion, Group, Prompt, Task

PROGRAM = "```python\ndef double(n):\n    return {}\n```"


TESTS = ["assert double(2) == 4", "assert double(-3) == -6"]


SIZE = 8


CODE = VerifierSpec("code")


def group(number, texts, **task):
    made = Task(str(number), ({"role": "user", "content": "?"},), **task)
    return Group(
        made,
        Prompt(str(number), (1,)),
        [Completion(str(number), i, [1], [-1.0], t, "stop", 0) for i, t in enumerate(texts)],
    )


def programs(count):
    """Groups of sandboxed programs, some right, some wrong, some that never end."""
    bodies = ["n * 2", "n + n", "n", "n ** 2", "1 / 0", "n << 1", "open('/etc/passwd')", "[n for _ in iter(int, 1)]"]
    for number in range(count):
        # What never ends costs its whole deadline: in one group of ten only.
        texts = [PROGRAM.format(b if number % 10 == 0 or "iter" not in b else "0") for b in bodies]
        yield group(number, texts, answer={"tests": TESTS, "limits": {"cpu_s": 1.0}})


def scores(groups):
    return {g.task.id: [(s.value, s.status) for s in g.scores] for g in groups}
