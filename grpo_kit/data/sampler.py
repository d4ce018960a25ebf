"""Which tasks come next: a position in a reproducible order, so that a run can stop anywhere and go on."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.types import Prompt, Task

from .chat import render
from .datasets import TaskSource


class OtherData(UserError):
    """A state is a place in other data than what is read now."""


class TaskSampler:
    """Draws tasks without replacement, reshuffled every epoch; prompts over the limit are skipped and counted.

    The order depends only on (source, seed); the state is one number.

    Args:
        told: tokens that every prompt is going to be longer by (what the policy is told of its tools); they count.
    """

    def __init__(self, source: TaskSource, tokenizer: Any, *, seed: int, max_prompt_tokens: int, told: int = 0) -> None:
        self.source, self.tokenizer, self.told = source, tokenizer, told
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
        tries = 0
        while len(chosen) < count:
            tries += 1
            if tries > patience and drawn:
                return chosen
            if tries > patience:
                raise self._exhausted(len(chosen), count)
            task = self.source.task(self._index(self.position))
            self.position += 1
            prompt = render(task, self.tokenizer)
            if len(prompt.token_ids) + self.told > self.max_prompt_tokens:
                self.skipped_long += 1
            elif task.id not in seen:
                seen.add(task.id)
                chosen.append((task, prompt))
        return chosen

    def _exhausted(self, found: int, count: int) -> UserError:
        if not found:
            return UserError(
                f"data.max_prompt_tokens: no prompt of {self.source.fingerprint} has at most {self.max_prompt_tokens} tokens"
            )
        size = self.source.size
        if size is not None and size > found and not self.skipped_long:
            return UserError(
                f"data.fields.id: {size} rows have only {found} different ids, and a step asks for {count} different ones; leave "
                "fields.id out (rows are numbered then), or mend the column"
            )
        return UserError(
            f"rollout.prompts_per_step: {count} different prompts are wanted at a time, and the data has only {found} of at "
            f"most {self.max_prompt_tokens} tokens; lower rollout.prompts_per_step or raise data.max_prompt_tokens"
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
