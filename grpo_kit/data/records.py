"""Groups that stand in a file already: recorded rollouts, preference pairs, labelled responses, demonstrations.

A pair is a group of two whose scores are 1 and 0; a demonstration is a group of one that is right. So everything that
learns from sampled groups learns from these.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from grpo_kit.config import Config, DataConfig, ExamplesConfig
from grpo_kit.errors import UserError
from grpo_kit.observe.episode_record import read_ending, read_inserted, read_messages, read_outcome, read_turns
from grpo_kit.observe.rollout_file import rollout_lines
from grpo_kit.types import Completion, Group, Message, Prompt, Replayed, Score, Task

from .chat import end_of_turn_id, render
from .conversations import PLAIN, unframed
from .datasets import load_rows, procedural_source
from .joined import joined_group
from .lessons import Lesson, find_shape, read_lesson
from .tasks import ProceduralSource, is_held_out

RECORDED_VERSION = -1  # no policy version of this run sampled them
TEXTS_COMPARED = 16


class Records:
    """A reproducible order over groups that were made before; every epoch is shuffled anew.

    Attributes:
        left_out: what of the record is not learned from, and why.
    """

    def __init__(
        self, size: int | None, group: Callable[[int], Group], seed: int, left_out: Sequence[str] = ()
    ) -> None:
        self.size, self.group, self.seed, self.left_out = size, group, seed, left_out
        self._epoch: tuple[int, list[int]] | None = None

    def next(self, step: int, count: int) -> list[Group]:
        """The ``count`` groups of a step, which depend on nothing but the seed and the step."""
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


def open_records(config: Config, tokenizer: Any, pairs: bool, context: int = 2**31, own_split: bool = False) -> Records:
    """What the ``examples`` section describes.

    Args:
        pairs: whether demonstrations are to come with a wrong one beside.
        context: the longest sequence that the model can be given, in tokens.
        own_split: whether the evaluation is of the record's own held-out prompts (see `held_out_of_record`).

    Raises:
        UserError: there is nothing there, or not what is needed.
    """
    examples = config.examples
    assert examples is not None
    if examples.demonstrations:
        return Records(None, _demonstrations(config, examples, tokenizer, pairs), config.seed)
    groups = _without_held_out(config, read_recorded(config, examples, tokenizer), own_split)
    kept, left_out = fitting(groups, config.longest_prompt, context, "examples")
    return Records(len(kept), kept.__getitem__, config.seed, left_out)


def read_recorded(config: Config, examples: ExamplesConfig, tokenizer: Any) -> list[Group]:
    """All groups of a run's rollouts or of a file, in their order. Raises UserError where they cannot be read."""
    if examples.rollouts is None:
        return read_pairs(_framing(config), str(examples.path), tokenizer, "examples", examples)
    try:
        groups = read_rollouts(Path(examples.rollouts))
    except UserError as error:
        raise UserError(f"examples.rollouts: {error}") from error
    _check_tokenizer(groups, tokenizer, examples.rollouts)
    return groups


def _framing(config: Config) -> DataConfig:
    """How prompts of a record are framed; recipes with examples have one data section."""
    assert config.only_set is not None
    return config.only_set


def fitting(groups: list[Group], longest: int, context: int, where: str) -> tuple[list[Group], list[str]]:
    """Those that are short enough, and in words what is left out. longest: tokens of a prompt; context: of all.

    Raises:
        UserError: nothing is.
    """
    limit = "data.max_prompt_tokens" if where == "examples" else f"{where}.max_prompt_tokens"
    short = [g for g in groups if len(g.prompt.token_ids) <= longest]
    if not short:
        raise UserError(f"{where}: none of the {len(groups)} prompts has at most {limit} = {longest} tokens")
    kept = [g for g in short if _length(g) <= context]
    if not kept:
        raise UserError(
            f"{where}: every one of the {len(short)} responses is longer than the model's context of {context}"
        )
    left_out = [
        f"{where}: {count} of {len(groups)} are left out: {reason}"
        for count, reason in (
            (len(groups) - len(short), f"their prompt is longer than {limit} = {longest}"),
            (len(short) - len(kept), f"with their response they are longer than the model's context of {context}"),
        )
        if count
    ]
    return kept, left_out


def _length(group: Group) -> int:
    """Tokens of a group's prompt and longest response, with what was inserted into it."""
    prompt = len(group.prompt.token_ids)
    return max((c.context_length(prompt) for c in group.completions), default=prompt)


def held_out_of_record(groups: Sequence[Group]) -> set[str]:
    """The prompts of a record that nothing is to be learned from: those that every run holds out of such data.

    What a run recorded has none of them left, since that run held them out itself; then it is another tenth, by another hash.
    """
    prompts = {group.task.prompt for group in groups}
    return {p for p in prompts if is_held_out(p)} or {p for p in prompts if is_held_out(f"of a record: {p}")}


def _without_held_out(config: Config, groups: list[Group], own_split: bool) -> list[Group]:
    """The groups that may be learned from, where the run's evaluation holds prompts out of its data."""
    if config.evaluation is None or config.evaluation.data is not None:
        return groups
    # A file is split by its prompts as they are asked, a procedural task by its problems.
    data = _framing(config)
    template = PLAIN if data.task is None else data.prompt_template
    prompts = {g.task.prompt for g in groups}
    out = held_out_of_record(groups) if own_split else {p for p in prompts if is_held_out(unframed(p, template))}
    kept = [g for g in groups if g.task.prompt not in out]
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
        known = len(ids) == len(completion.token_ids)
        last = completion.turns[-1].start if completion.turns else 0  # an episode's text is that of its last turn
        text = str(tokenizer.decode(ids[last:], skip_special_tokens=True))
        if not known or not text.startswith(completion.text):
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
        task = Task(name, read_messages(row), row["answer"], data_set=str(row.get("data_set", "")))
        prompt, weight = Prompt(name, tuple(row["prompt_ids"])), row.get("outcome_weight")
        group = Group(task, prompt, [], judge=row.get("judge"), mark=row.get("mark"), outcome_weight=weight)
        group.weights = {str(part): float(factor) for part, factor in row.get("weights", {}).items()}
        if again := row.get("replayed"):
            group.replayed = Replayed(int(again["step"]), int(again["number"]), float(again["weight"]))
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
            later_versions=[(int(index), int(version)) for index, version in row.get("later_versions", ())],
            inserted=read_inserted(row),
            turns=read_turns(row),
            ending=read_ending(row),
            outcome=read_outcome(row),
            fresh=row.get("fresh") is True,
        )
    )
    group.scores.append(Score(row["reward"], row["status"]))
    group.parts.append({verifier: Score(part["value"], part["status"]) for verifier, part in row["scores"].items()})
    if "greedy" in row:
        group.greedy = Score(row["greedy"]["value"], row["greedy"]["status"])


def read_pairs(data: DataConfig, path: str, tokenizer: Any, where: str, examples: ExamplesConfig) -> list[Group]:
    """A file of pairs, labelled responses or demonstrations, each row a group.

    Args:
        data: how prompts are framed; and the subset and split of a dataset that is no single file.
        where: the section, for messages.
        examples: how a row becomes tokens.
    """
    rows = load_rows(data.model_copy(update={"task": None, "path": path}), where)
    together, learns_all = examples.tokenized == "together", examples.learned == "all"
    shape, made = find_shape(rows.column_names, path, texts=learns_all), []
    if learns_all and shape.pairs:
        raise UserError(f"{where}.learned: {path} has pairs, which are compared by their responses; take response")
    for index, row in enumerate(rows):
        name, at = f"{where}/{index}", f"{where}.path: {path}, row {index}"
        lesson = read_lesson(row, shape, data, at, plain=together)
        if together:
            made.append(joined_group(name, lesson, tokenizer, learns_all, at, RECORDED_VERSION))
        else:
            made.append(_sampled_group(name, lesson, tokenizer))
    if not made:
        raise UserError(f"{where}.path: {path} holds no rows")
    return made


def _sampled_group(name: str, lesson: Lesson, tokenizer: Any) -> Group:
    """The group of a row whose prompt is asked as in sampling, and whose responses are what would have been sampled."""
    made = text_group(name, lesson.prompt, lesson.texts, lesson.marks, tokenizer, margin=lesson.margin)
    if lesson.chat:
        made.prompt = render(made.task, tokenizer, lesson.chat)
    return made


def text_group(
    name: str,
    prompt: str | Sequence[Message],
    texts: list[str],
    marks: list[float],
    tokenizer: Any,
    margin: float | None = None,
) -> Group:
    """A group from texts: each tokenised once, with the end token that a model would have to write.

    Args:
        prompt: the user's words, or a whole conversation.
    """
    if isinstance(prompt, str):
        prompt = [Message(role="user", content=prompt)]
    task = Task(name, tuple(prompt), "", {"margin": margin})
    end, completions = end_of_turn_id(tokenizer), []
    for index, text in enumerate(texts):
        ids = [*tokenizer.encode(text, add_special_tokens=False), end]
        completions.append(Completion.of_text(name, index, text, ids, RECORDED_VERSION))
    return Group(task, render(task, tokenizer), completions, [Score(mark) for mark in marks])


def _demonstrations(config: Config, examples: ExamplesConfig, tokenizer: Any, pairs: bool) -> Callable[[int], Group]:
    source = procedural_source(_framing(config), config.seed, held_out=False)

    def group(index: int) -> Group:
        if pairs:
            return demonstrated_pair(source, index, tokenizer)
        slip = random.Random(f"mistake/{index}").random() < examples.mistakes
        found = source.problem(index, slip)
        messages = source.task(index).messages
        return text_group(f"{index}/{found.prompt}", messages, [found.demonstration], [1.0], tokenizer)

    return group


def demonstrated_pair(source: ProceduralSource, index: int, tokenizer: Any) -> Group:
    """A worked solution of a problem, and one with a mistake."""
    right, wrong = source.problem(index), source.problem(index, slip=True)
    texts = [right.demonstration, wrong.demonstration]
    return text_group(f"{index}/{right.prompt}", source.task(index).messages, texts, [1.0, 0.0], tokenizer)
