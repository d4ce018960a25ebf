"""Groups that stand in a file already: recorded rollouts, preference pairs, labelled responses, demonstrations.

A pair is a group of two whose scores are 1 and 0; a demonstration is a group of one that is right. So everything that
learns from sampled groups learns from these.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from grpo_kit.config import Config, ExamplesConfig
from grpo_kit.errors import UserError
from grpo_kit.types import Completion, Group, Message, Score, Task

from .chat import render
from .datasets import load_rows
from .tasks import ProceduralSource

RECORDED_VERSION = -1  # no policy version of this run sampled them


class RecordedGroups:
    """A reproducible order over groups that were made before; every epoch is shuffled anew (see `GroupSource`)."""

    recorded = True

    def __init__(self, size: int | None, group: Callable[[int], Group], seed: int) -> None:
        self.size, self.group, self.seed = size, group, seed
        self._epoch: tuple[int, list[int]] | None = None

    def next(self, step: int, count: int) -> list[Group]:
        first = (step - 1) * count
        return [self.group(self._index(position)) for position in range(first, first + count)]

    def _index(self, position: int) -> int:
        if self.size is None:
            return position
        epoch, offset = divmod(position, self.size)
        if self._epoch is None or self._epoch[0] != epoch:
            order = list(range(self.size))
            random.Random(f"{self.seed}/{epoch}").shuffle(order)
            self._epoch = (epoch, order)
        return self._epoch[1][offset]

    def statistics(self) -> dict[str, float]:
        return {}


def open_records(config: Config, tokenizer: Any, pairs: bool) -> RecordedGroups:
    """What the ``examples`` section describes. pairs: whether demonstrations are to come with a wrong one beside.

    Raises:
        UserError: there is nothing there, or not what is needed.
    """
    examples = config.examples
    assert examples is not None
    if examples.demonstrations:
        return RecordedGroups(None, _demonstrations(config, examples, tokenizer, pairs), config.seed)
    recorded = examples.rollouts
    groups = read_rollouts(Path(recorded)) if recorded is not None else _read_file(config, examples, tokenizer)
    longest = config.data.max_prompt_tokens
    kept = [g for g in groups if len(g.prompt.token_ids) <= longest]
    if not kept:
        raise UserError(
            f"examples: none of the {len(groups)} prompts has at most data.max_prompt_tokens = {longest} tokens"
        )
    return RecordedGroups(len(kept), kept.__getitem__, config.seed)


def read_rollouts(folder: Path) -> list[Group]:
    """The groups that a run recorded, as they were sampled, in the order of their steps.

    Raises:
        UserError: the folder holds none.
    """
    files = sorted((folder / "rollouts").glob("step-*.jsonl.gz"))
    if not files:
        raise UserError(f"{folder} holds no recorded rollouts; give the directory of a run")
    return [group for path in files for group in read_step(path)]


def read_step(path: Path) -> list[Group]:
    """The groups of one step's file, in the order they were learned from. Raises UserError if it is damaged."""
    found: dict[str, Group] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                _add_rollout(found, json.loads(line))
    except (OSError, EOFError, ValueError, KeyError, zlib.error) as error:
        raise UserError(f"{path} is damaged: {error!r:.200}") from error
    return list(found.values())


def _add_rollout(found: dict[str, Group], row: Mapping[str, Any]) -> None:
    from grpo_kit.types import Prompt

    name = str(row["task"])
    group = found.get(name)
    if group is None:
        task = Task(name, (Message(role="user", content=row["prompt"]),), row["answer"])
        group = Group(task, Prompt(name, tuple(row["prompt_ids"])), [], judge=row.get("judge"), mark=row.get("mark"))
        found[name] = group
    group.completions.append(
        Completion(
            name,
            row["sample"],
            row["token_ids"],
            row["logprobs"],
            row["response"],
            row["finish"],
            row["policy_version"],
        )
    )
    group.scores.append(Score(row["reward"], row["status"]))
    group.parts.append({verifier: Score(part["value"], part["status"]) for verifier, part in row["scores"].items()})
    if "greedy" in row:
        group.greedy = Score(row["greedy"]["value"], row["greedy"]["status"])


def _read_file(config: Config, examples: ExamplesConfig, tokenizer: Any) -> list[Group]:
    where = "examples"
    rows = load_rows(config.data.model_copy(update={"task": None, "path": examples.path}), where)
    columns = set(rows.column_names)
    paired = {"prompt", "chosen", "rejected"} <= columns
    if not paired and not {"prompt", "response"} <= columns:
        raise UserError(
            f"{where}.path: {examples.path} needs columns prompt, chosen and rejected, or prompt and response; it has: "
            f"{', '.join(sorted(columns))}"
        )
    made = []
    for index, row in enumerate(rows):
        if paired:
            texts, marks = [row["chosen"], row["rejected"]], [1.0, 0.0]
        else:
            texts, marks = [row["response"]], [float(row.get("label", True))]
        if not all(isinstance(text, str) and text for text in (row["prompt"], *texts)):
            raise UserError(
                f"{where}.path: {examples.path}, row {index}: prompt and responses must be text, and not empty"
            )
        prompt = config.data.prompt_template.replace("{prompt}", row["prompt"])
        made.append(
            text_group(
                f"{where}/{index}", prompt, texts, marks, tokenizer, config.data.system_prompt, row.get("margin")
            )
        )
    return made


def text_group(
    name: str,
    prompt: str,
    texts: list[str],
    marks: list[float],
    tokenizer: Any,
    system: str | None = None,
    margin: float | None = None,
) -> Group:
    """A group from texts: each tokenised once, with the end token that a model would have to write."""
    messages: list[Message] = [Message(role="system", content=system)] if system else []
    task = Task(name, (*messages, Message(role="user", content=prompt)), "", {"margin": margin})
    completions = []
    for index, text in enumerate(texts):
        ids = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
        completions.append(Completion(name, index, ids, [], text, "stop", RECORDED_VERSION))
    return Group(task, render(task, tokenizer), completions, [Score(mark) for mark in marks])


def _demonstrations(config: Config, examples: ExamplesConfig, tokenizer: Any, pairs: bool) -> Callable[[int], Group]:
    assert config.data.task is not None
    source = ProceduralSource(config.data.task, config.data.level, config.seed, held_out=False)

    def group(index: int) -> Group:
        if pairs:
            right, wrong = source.problem(index), source.problem(index, slip=True)
            texts, marks = [right.demonstration, wrong.demonstration], [1.0, 0.0]
        else:
            slip = random.Random(f"mistake/{index}").random() < examples.mistakes
            right = source.problem(index, slip)
            texts, marks = [right.demonstration], [1.0]
        return text_group(f"{index}/{right.prompt}", right.prompt, texts, marks, tokenizer, config.data.system_prompt)

    return group
