"""Rows tokenised as one text, prompt and response together, as TRL's trainers of files do (1.16, `_prepare_dataset`).

A response begins where the ids of the whole part from those of its prompt. That is not always behind the prompt: a word can
cross the boundary, and a template may render a prompt alone in another way. What the template writes behind an answer is learned
with it. Plain text has no template around it, and ends with the tokenizer's end token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.types import Completion, Group, Message, Prompt, Score, Task

from .chat import apply_template
from .lessons import Lesson, in_common


def joined_group(name: str, lesson: Lesson, tokenizer: Any, learns_all: bool, where: str, version: int) -> Group:
    """The group of a row.

    Args:
        learns_all: every token counts but the first, which nothing predicts; else those of the responses.
        where: the file and the row, for errors.
        version: of the completions; no policy of this run sampled them.

    Raises:
        UserError: nothing stands before the responses that they could be predicted from.
    """
    wholes = [_whole(lesson, text, tokenizer, name) for text in lesson.texts]
    if learns_all:
        begins = 1
    else:
        prompt = _alone(lesson, tokenizer, name)
        begins = min(in_common(prompt, whole) for whole in wholes)
    if not begins or not all(wholes):
        raise UserError(
            f"{where}: the responses begin with the first token, and nothing stands before them: give the row a prompt"
        )
    task = Task(name, lesson.prompt, "", {"margin": lesson.margin})
    completions = [
        Completion.of_text(name, index, text, whole[begins:], version)
        for index, (text, whole) in enumerate(zip(lesson.texts, wholes, strict=True))
    ]
    return Group(task, Prompt(name, tuple(wholes[0][:begins])), completions, [Score(mark) for mark in lesson.marks])


def _alone(lesson: Lesson, tokenizer: Any, name: str) -> list[int]:
    """Ids of the prompt."""
    if lesson.plain is not None:
        return list(tokenizer(lesson.plain)["input_ids"])
    return _rendered(lesson.prompt, lesson, tokenizer, name, add_generation_prompt=True)


def _whole(lesson: Lesson, text: str, tokenizer: Any, name: str) -> list[int]:
    """Ids of the prompt with one response."""
    if lesson.plain is not None:
        end = tokenizer.eos_token or ""
        return list(tokenizer(lesson.plain + (text if text.endswith(end) else text + end))["input_ids"])
    answer = Message(role="assistant", content=text)
    return _rendered((*lesson.prompt, answer), lesson, tokenizer, name)


def _rendered(messages: Sequence[Message], lesson: Lesson, tokenizer: Any, name: str, **settings: Any) -> list[int]:
    return list(apply_template(tokenizer, messages, name, tokenize=True, return_dict=False, **settings, **lesson.chat))
