"""What is worth knowing of a step's groups, data set by data set."""

from __future__ import annotations

from statistics import fmean

from grpo_kit.types import Group


def data_set_metrics(groups: list[Group]) -> dict[str, float]:
    """``data/NAME/...`` of each data set of a mixture; nothing where a run has one.

    Prompts in the step, mean reward, share of right responses, mean length in tokens, and the share of its groups that have a
    right and a wrong response, which is what a group is compared within.
    """
    found: dict[str, float] = {}
    for name in sorted({group.task.data_set for group in groups} - {""}):
        own = [group for group in groups if group.task.data_set == name]
        found[f"data/{name}/prompts"] = float(len(own))
        found[f"data/{name}/length"] = fmean(len(c.token_ids) for group in own for c in group.completions)
        rewards = [score.value for group in own for score in group.scores if score.counts]
        if rewards:
            found[f"data/{name}/reward"] = fmean(rewards)
        right = [r for group in own if (r := [v.right for v in group.verdicts() if v.counts])]
        if right:
            found[f"data/{name}/right"] = fmean(r for one in right for r in one)
            found[f"data/{name}/mixed_groups"] = fmean(any(one) and not all(one) for one in right)
    return found
