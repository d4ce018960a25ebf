"""The one judging path: prompts are answered in groups, a judge marks every answer, each becomes a record.

An evaluation during a run, ``grpo-kit eval`` and ``grpo-kit score`` differ in where the groups come from and in what is
kept of the records; who is right is said here alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from grpo_kit.environments.episodes import play
from grpo_kit.types import Group, Prompt, Task

from .records import Record

if TYPE_CHECKING:
    from grpo_kit.environments.episodes import Episodes
    from grpo_kit.generate.base import Generator, SamplingParams, UnderWay
    from grpo_kit.scoring import Scorer


def answered(
    generator: Generator,
    tasks: Sequence[tuple[Task, Prompt]],
    sampling: SamplingParams,
    under_way: UnderWay | None = None,
    episodes: Episodes | None = None,
) -> Iterator[Group]:
    """A group for each task, in the order in which they are finished.

    Args:
        under_way: as `Generator.generate` has it.
        episodes: what answers the policy; the tasks are prepared by it.
    """
    by_id = {task.id: (task, prompt) for task, prompt in tasks}
    for completions in play(generator, tasks, sampling, episodes, under_way):
        yield Group(*by_id[completions[0].task_id], completions)


def judged(groups: Iterable[Group], scorer: Scorer, name: str = "", *, greedy: bool = False) -> Iterator[list[Record]]:
    """The records of each group, in the order of the groups; they are judged while further groups are made.

    Args:
        scorer: its judge says what is right.
        name: of the evaluation task.
        greedy: the answers are greedy ones.
    """
    for group in scorer.score_groups(groups):
        yield [
            Record.judged(name, group.task, completion, verdict, greedy=greedy)
            for completion, verdict in zip(group.completions, group.verdicts(), strict=True)
        ]
