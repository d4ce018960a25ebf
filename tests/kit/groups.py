"""Groups with rewards."""

from grpo_kit.types import Completion, Group, Prompt, Score, Task

REWARDS = [[1.0, 0.0, 0.5], [0.0, 0.0, 1.0]]


TOKENS = [[[5, 6, 7], [8, 9], [10]], [[11, 12], [13, 14, 15, 16], [17]]]


PROMPTS = [(1, 2, 3), (4,)]


def groups():
    made = []
    for g, prompt in enumerate(PROMPTS):
        completions = [Completion(str(g), i, t, [-1.0] * len(t), "", "stop", 0) for i, t in enumerate(TOKENS[g])]
        task = Task(str(g), ({"role": "user", "content": ""},), "")
        made.append(Group(task, Prompt(str(g), prompt), completions, [Score(r) for r in REWARDS[g]]))
    return made
