"""Which tasks come next: a position in a reproducible order, so that a run can stop anywhere and go on."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

from grpo_kit.errors import UserError
from grpo_kit.types import Group, Prompt, Task

from .chat import render
from .source import TaskSource


class OtherData(UserError):
    """A state is a place in other data than what is read now."""


class Sampler(Protocol):
    """Chooses the prompts of a step. What it chooses depends on its state alone, and all of that is in `state_dict`.

    Attributes:
        told: tokens that every prompt is going to be longer by.
        skipped_long: prompts that were passed over since the beginning, as they are longer than permitted.
    """

    told: int

    @property
    def skipped_long(self) -> int: ...

    def next(self, count: int, drawn: Collection[str] = ()) -> list[tuple[Task, Prompt]]:
        """See `TaskSampler.next`."""

    def observe(self, groups: Sequence[Group]) -> None:
        """Be told what came of prompts that were drawn; on every rank the same groups, in the same order."""

    def statistics(self) -> dict[str, float]:
        """What is worth logging of the state."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises OtherData if the data changed since the state was taken; nothing is changed then."""


class TaskSampler:
    """Draws tasks without replacement, reshuffled every epoch; prompts over the limit are skipped and counted.

    The order depends only on (source, seed); the state is one number.

    Args:
        told: tokens that every prompt is going to be longer by (what the policy is told of its tools); they count.
        where: the section that the data are of, for messages.
    """

    def __init__(
        self,
        source: TaskSource,
        tokenizer: Any,
        *,
        seed: int,
        max_prompt_tokens: int,
        told: int = 0,
        where: str = "data",
    ) -> None:
        self.source, self.tokenizer, self.told, self.where = source, tokenizer, told, where
        self.seed, self.max_prompt_tokens = seed, max_prompt_tokens
        self.position = 0
        self.skipped_long = 0
        self._epoch: tuple[int, list[int]] | None = None

    def next(self, count: int, drawn: Collection[str] = ()) -> list[tuple[Task, Prompt]]:
        """The next ``count`` tasks, all different, with their rendered prompts.

        Args:
            drawn: ids of tasks that this step has already. Where they leave too few, fewer come.

        Raises:
            UserError: the source has too few different prompts of a permitted length.
        """
        chosen: list[tuple[Task, Prompt]] = []
        seen = set(drawn)
        patience = 20 * count + 2 * (self.source.size or 0)
        tries, turns = 0, self._turns()
        while len(chosen) < count:
            tries += 1
            index = next(turns, None) if tries <= patience else None
            if index is None and drawn:
                return chosen
            if index is None:
                raise self._exhausted(len(chosen), count)
            task = self.source.task(index)
            prompt = render(task, self.tokenizer)
            if len(prompt.token_ids) + self.told > self.max_prompt_tokens:
                self.skipped_long += 1
            elif task.id not in seen:
                seen.add(task.id)
                chosen.append((task, prompt))
                self._chose(index, task)
        return chosen

    def _turns(self) -> Iterator[int]:
        """Indices of the source in the order in which they are to be tried; the state is of those that were given."""
        while True:
            self.position += 1
            yield self._index(self.position - 1)

    def _chose(self, index: int, task: Task) -> None:
        """A task was drawn."""

    def observe(self, groups: Sequence[Group]) -> None:
        """An order goes by nothing that is found."""

    def statistics(self) -> dict[str, float]:
        return {}

    def _exhausted(self, found: int, count: int) -> UserError:
        if not found:
            return UserError(
                f"{self.where}.max_prompt_tokens: no prompt of {self.source.fingerprint} has at most "
                f"{self.max_prompt_tokens} tokens"
            )
        size = self.source.size
        if size is not None and size > found and not self.skipped_long:
            return UserError(
                f"{self.where}.fields.id: {size} rows have only {found} different ids, and a step asks for {count} different "
                "ones; leave fields.id out (rows are numbered then), or mend the column"
            )
        share = "" if self.where == "data" else f" or {self.where}.weight,"
        data = "the data" if self.where == "data" else self.where
        return UserError(
            f"rollout.prompts_per_step: {count} different prompts are wanted at a time, and {data} has only {found} of at "
            f"most {self.max_prompt_tokens} tokens; lower rollout.prompts_per_step{share} or raise {self.where}.max_prompt_tokens"
        )

    def _index(self, position: int) -> int:
        size = self.source.size
        if size is None:
            return position
        epoch, offset = divmod(position, size)
        if self._epoch is None or self._epoch[0] != epoch:
            order = list(range(size))
            random.Random(f"{self.seed}/{epoch}").shuffle(order)
            self._epoch = (epoch, order)
        return self._epoch[1][offset]

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "skipped_long": self.skipped_long, "fingerprint": self.source.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises OtherData if the data changed since the state was taken; nothing is changed then."""
        if state["fingerprint"] != self.source.fingerprint:
            raise OtherData(
                "data: this is not the data that the checkpoint was trained on "
                f"({state['fingerprint']} then, {self.source.fingerprint} now)"
            )
        self.position, self.skipped_long = state["position"], state["skipped_long"]
