"""What is asked, how it is put into words, and what offline algorithms learn from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from grpo_kit.runtime.strict import Fraction, PathText, Strict


class FieldMap(Strict):
    """Which columns of a data file hold what."""

    prompt: str = Field("prompt", description="column of the question: text, or messages")
    answer: str = Field("answer", description="column of the gold answer")
    id: str | None = Field(None, description="column that names a row; null numbers them")


class DataConfig(Strict):
    """Tasks: a procedural ``task``, or a dataset ``path`` (hub name, folder, .jsonl, .json, .parquet or .csv)."""

    task: str | None = Field(None, description="name of a shipped procedural task, such as addition")
    level: PositiveInt = Field(1, description="how hard a procedural task is, from 1 on")
    path: PathText | None = Field(
        None, description="a name on the hub, a folder, or a .jsonl, .json, .parquet or .csv file"
    )
    subset: str | None = Field(None, description="configuration of a dataset on the hub that has several")
    split: str = Field("train", description="which part of a dataset is read")
    format: Literal["columns", "humaneval", "mbpp", "evalplus", "apps", "taco", "codecontests", "livecodebench"] = (
        Field(
            "columns", description="columns: as `fields` says; the others: rows of that programming dataset, for `code`"
        )
    )
    fields: FieldMap = Field(FieldMap(), description="which columns hold what")
    answer_pattern: str | None = Field(
        None, description="regex whose first group is the gold answer in the answer column"
    )
    unmatched: Literal["refuse", "skip"] = Field(
        "refuse",
        description="rows in which answer_pattern finds nothing, or without tests: an error, or left out and counted",
    )
    prompt_columns: tuple[str, ...] = Field((), description="columns that make up the question, joined by a blank")
    system_prompt: str | None = Field(None, description="system message before every question; null sends none")
    prompt_template: str = Field("{prompt}", description="must contain {prompt}")
    max_prompt_tokens: PositiveInt = Field(1024, description="rendered prompts of more tokens are passed over")
    limit: PositiveInt | None = Field(None, description="only so many rows, the first ones; null takes all")

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        if (self.task is None) == (self.path is None):
            raise ValueError("needs exactly one of task (procedural) and path (a dataset)")
        if "{prompt}" not in self.prompt_template:
            raise ValueError(f"prompt_template must contain {{prompt}}, found {self.prompt_template!r}")
        return self


# What apply_chat_template takes beside arguments of the template: what comes out of it, which is not a recipe's to say.
RENDERING = {
    "conversation",
    "tokenize",
    "add_generation_prompt",
    "continue_final_message",
    "return_dict",
    "return_tensors",
    "return_assistant_tokens_mask",
    "padding",
    "truncation",
    "max_length",
    "tokenizer_kwargs",
}


class ChatConfig(Strict):
    """The chat template, wherever a prompt is rendered: sampling, demonstrations, evaluation."""

    arguments: dict[str, Any] = Field({}, description="what the template is given by name, such as enable_thinking")

    @field_validator("arguments")
    @classmethod
    def _not_our_own(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(arguments.keys() & RENDERING)
        if taken:
            raise ValueError(f"{', '.join(taken)} is decided by the kit; remove it")
        return arguments


class ExamplesConfig(Strict):
    """What an offline algorithm learns from: exactly one of a file, recorded rollouts, or worked solutions.

    A row of the file has ``prompt`` and either ``chosen`` and ``rejected`` (and perhaps ``margin``), or ``response`` (and
    perhaps ``label``: whether it is good). Recorded rollouts are grouped by prompt as they were sampled.
    """

    path: PathText | None = Field(None, description="a .jsonl, .parquet or .csv file, or a hub name")
    rollouts: PathText | None = Field(None, description="the run directory whose recorded rollouts are learned from")
    demonstrations: bool = Field(
        False, description="worked solutions of data.task; for pairs, each against one with a mistake"
    )
    mistakes: Fraction = Field(0.0, description="share of single demonstrations that contain a mistake")

    @model_validator(mode="after")
    def _one_source(self) -> ExamplesConfig:
        if (self.path is not None) + (self.rollouts is not None) + self.demonstrations != 1:
            raise ValueError("needs exactly one of path (a file), rollouts (a run directory) and demonstrations: true")
        return self
