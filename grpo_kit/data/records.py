"""Groups that stand in a file already: recorded rollouts, preference pairs, labelled responses, demonstrations.

A pair is a group of two whose scores are 1 and 0; a demonstration is a group of one that is right. So everything that
learns from sampled groups learns from these.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from grpo_kit.config import Config, ExamplesConfig
from grpo_kit.errors import UserError
from grpo_kit.rollout_file import rollout_lines
from grpo_kit.types import Completion, Group, Message, Prompt, Score, Task

from .chat import end_of_turn_id, render
from .conversations import as_conversation, framed, read_conversation
from .datasets import load_rows
from .tasks import ProceduralSource, is_held_out

RECORDED_VERSION = -1  # no policy version of this run sampled them
TEXTS_COMPARED = 16


class RecordedGroups:
    """A reproducible order over groups that were made before; every epoch is shuffled anew (see `GroupSource`).

    Attributes:
        left_out: what of the record is not learned from, and why.
    """

    recorded = True

    def __init__(
        self, size: int | None, group: Callable[[int], Group], seed: int, left_out: Sequence[str] = ()
    ) -> None:
        self.size, self.group, self.seed, self.left_out = size, group, seed, left_out
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


def open_records(config: Config, tokenizer: Any, pairs: bool, context: int = 2**31) -> RecordedGroups:
    """What the ``examples`` section describes.

    Args:
        pairs: whether demonstrations are to come with a wrong one beside.
        context: the longest sequence that the model can be given, in tokens.

    Raises:
        UserError: there is nothing there, or not what is needed.
    """
    examples = config.examples
    assert examples is not None
    if examples.demonstrations:
        return RecordedGroups(None, _demonstrations(config, examples, tokenizer, pairs), config.seed)
    if examples.rollouts is not None:
        groups = read_rollouts(Path(examples.rollouts))
        _check_tokenizer(groups, tokenizer, examples.rollouts)
    else:
        groups = _read_file(config, examples, tokenizer)
    groups = _without_held_out(config, groups)
    longest = config.data.max_prompt_tokens
    short = [g for g in groups if len(g.prompt.token_ids) <= longest]
    if not short:
        raise UserError(
            f"examples: none of the {len(groups)} prompts has at most data.max_prompt_tokens = {longest} tokens"
        )
    kept = [g for g in short if _length(g) <= context]
    if not kept:
        raise UserError(
            f"examples: every one of the {len(short)} responses is longer than the model's context of {context}"
        )
    left_out = [
        f"examples: {count} of {len(groups)} are left out: {reason}"
        for count, reason in (
            (len(groups) - len(short), f"their prompt is longer than data.max_prompt_tokens = {longest}"),
            (len(short) - len(kept), f"with their response they are longer than the model's context of {context}"),
        )
        if count
    ]
    return RecordedGroups(len(kept), kept.__getitem__, config.seed, left_out)


def _length(group: Group) -> int:
    """Tokens of a group's prompt and longest response."""
    return len(group.prompt.token_ids) + max((len(c.token_ids) for c in group.completions), default=0)


def _without_held_out(config: Config, groups: list[Group]) -> list[Group]:
    """The groups that may be learned from, where the run's evaluation holds prompts out of its data."""
    if config.evaluation is None or config.evaluation.data is not None:
        return groups
    kept = [g for g in groups if not is_held_out(g.task.prompt)]
    if not kept:
        raise UserError(
            f"examples: all {len(groups)} prompts are held out for the evaluation; give evaluation.data a file of its own, or "
            "evaluation: null"
        )
    return kept


def _check_tokenizer(groups: list[Group], tokenizer: Any, folder: str) -> None:
    """Ids of another tokenizer would be learned as other words, without a sign."""
    sampled = [c for group in groups for c in group.completions]
    for completion in sampled[:: max(1, len(sampled) // TEXTS_COMPARED)]:
        ids = [i for i in completion.token_ids if i < len(tokenizer)]
        text = str(tokenizer.decode(ids, skip_special_tokens=True))
        if len(ids) < len(completion.token_ids) or not text.startswith(completion.text):
            raise UserError(
                f"examples.rollouts: {folder} was sampled with another tokenizer than model.path has: its token ids read "
                f"{text[:60]!r}, and the recorded response is {completion.text[:60]!r}. Give the model that the run trained, or "
                "write the responses into a file for examples.path"
            )


def read_rollouts(folder: Path) -> list[Group]:
    """The groups that a run recorded, as they were sampled, in the order of their steps.

    Raises:
        UserError: the folder holds none.
    """
    files = sorted((folder / "rollouts").glob("step-*.jsonl.gz"))
    if not files:
        found = "holds no recorded rollouts" if folder.is_dir() else "is no folder"
        raise UserError(
            f"{folder} {found}; give the directory of a run, such as `grpo-kit train RECIPE --run-dir {folder}` writes"
        )
    return [group for path in files for group in read_step(path)]


def read_step(path: Path) -> list[Group]:
    """The groups of one step's file, in the order they were learned from. Raises UserError if it is damaged."""
    found: dict[tuple[Any, str], Group] = {}
    try:
        for row in rollout_lines(path):
            _add_rollout(found, row)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error!r:.200}") from error
    return list(found.values())


def _add_rollout(found: dict[tuple[Any, str], Group], row: Mapping[str, Any]) -> None:
    name = str(row["task"])
    key = (row.get("group"), name)
    group = found.get(key)
    if group is None:
        task = Task(name, (Message(role="user", content=row["prompt"]),), row["answer"])
        group = Group(task, Prompt(name, tuple(row["prompt_ids"])), [], judge=row.get("judge"), mark=row.get("mark"))
        found[key] = group
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
    rows = load_rows(config.data.model_copy(update={"task": None, "path": examples.path}), "examples")
    columns = set(rows.column_names)
    kind = next((kind for kind in ({"prompt", "chosen", "rejected"}, {"prompt", "response"}) if kind <= columns), None)
    if kind is None:
        raise UserError(
            f"examples.path: {examples.path} needs columns prompt, chosen and rejected, or prompt and response; it has: "
            f"{', '.join(sorted(columns))}"
        )
    made = []
    for index, row in enumerate(rows):
        where = f"examples.path: {examples.path}, row {index}"
        prompt = _prompt(row.get("prompt"), config, where)
        if "chosen" in kind:
            texts, marks = [_response(row.get(name), name, where) for name in ("chosen", "rejected")], [1.0, 0.0]
        else:
            texts, marks = [_response(row.get("response"), "response", where)], [_label(row.get("label", True), where)]
        margin = _margin(row.get("margin"), where)
        made.append(text_group(f"examples/{index}", prompt, texts, marks, tokenizer, margin=margin))
    return made


def _prompt(prompt: Any, config: Config, where: str) -> tuple[Message, ...]:
    conversation = as_conversation(prompt)
    if conversation is not None:
        messages = read_conversation(conversation, where)
    elif isinstance(prompt, str) and prompt:
        messages = [Message(role="user", content=prompt)]
    else:
        raise UserError(f"{where}: prompt and responses must be text, and not empty; the prompt is {prompt!r:.60}")
    return framed(messages, config.data.prompt_template, config.data.system_prompt or None, where)


def _response(response: Any, name: str, where: str) -> str:
    """A response as text: as it is, or the one message of the assistant that it is."""
    conversation = as_conversation(response)
    if conversation is not None:
        if (
            len(conversation) != 1
            or not isinstance(conversation[0], Mapping)
            or conversation[0].get("role") != "assistant"
        ):
            raise UserError(
                f"{where}: {name} is a conversation; it has to be text, or one message of the assistant, with all that came "
                "before it in prompt"
            )
        response = conversation[0].get("content")
    if not isinstance(response, str) or not response:
        raise UserError(f"{where}: prompt and responses must be text, and not empty; {name} is {response!r:.60}")
    return response


LABELS = {"true": 1.0, "false": 0.0, "good": 1.0, "bad": 0.0, "yes": 1.0, "no": 0.0}


def _label(label: Any, where: str) -> float:
    mark = LABELS.get(label.strip().lower()) if isinstance(label, str) else None
    mark = _number(label) if mark is None else mark
    if mark is None:
        raise UserError(
            f"{where}: the label is {label!r:.40}; it says whether the response is good: true, false, 1 or 0"
        )
    return mark


def _margin(margin: Any, where: str) -> float | None:
    if margin is None or margin == "":
        return None
    found = _number(margin)
    if found is None:
        raise UserError(f"{where}: the margin is {margin!r:.40}, and not a number")
    return found


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def text_group(
    name: str,
    prompt: str | Sequence[Message],
    texts: list[str],
    marks: list[float],
    tokenizer: Any,
    system: str | None = None,
    margin: float | None = None,
) -> Group:
    """A group from texts: each tokenised once, with the end token that a model would have to write.

    Args:
        prompt: the user's words, or a whole conversation.
    """
    if isinstance(prompt, str):
        asked = Message(role="user", content=prompt)
        prompt = [Message(role="system", content=system), asked] if system else [asked]
    task = Task(name, tuple(prompt), "", {"margin": margin})
    end, completions = end_of_turn_id(tokenizer), []
    for index, text in enumerate(texts):
        ids = [*tokenizer.encode(text, add_special_tokens=False), end]
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
