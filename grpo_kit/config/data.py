"""What is asked, how it is put into words, and what offline algorithms learn from."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveInt, Tag, field_validator, model_validator

from grpo_kit.runtime.strict import Fraction, PathText, Strict

from .scoring import VerifierConfig

PASS_RATE = "pass_rate"  # the column that `grpo-kit data grade` writes


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
    format: Literal[
        "columns", "humaneval", "mbpp", "evalplus", "apps", "taco", "codecontests", "livecodebench", "kodcode"
    ] = Field(
        "columns", description="columns: as `fields` says; the others: rows of that programming dataset, for `code`"
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
    limit: PositiveInt | None = Field(
        None,
        description="only so many rows, the first ones; null takes all; of a procedural task, so many problems that come again "
        "every epoch",
    )
    pass_rate: tuple[Fraction, Fraction] | None = Field(
        None,
        description="only rows whose column pass_rate, which `grpo-kit data grade` writes, lies in [from, to]; what is held out "
        "is held out of all rows",
    )

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        if (self.task is None) == (self.path is None):
            raise ValueError("needs exactly one of task (procedural) and path (a dataset)")
        if "{prompt}" not in self.prompt_template:
            raise ValueError(f"prompt_template must contain {{prompt}}, found {self.prompt_template!r}")
        if self.pass_rate is not None and self.task is not None:
            raise ValueError(
                "pass_rate is a column of a file, and a procedural task has none: grade its problems first (`grpo-kit data "
                "grade`), and name the file as path"
            )
        if self.pass_rate is not None and self.pass_rate[0] > self.pass_rate[1]:
            raise ValueError(f"pass_rate is [from, to], found {list(self.pass_rate)}")
        return self


class DataSetConfig(DataConfig):
    """One of several data sets that a run trains on."""

    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$",
        description="in metrics, rollouts and evaluations; default: that of the task or of the file",
    )
    weight: float = Field(1.0, description="share of a step's prompts, relative to that of the other data sets")
    verifiers: list[VerifierConfig] | None = Field(
        None, description="who scores its responses; default: the recipe's verifiers"
    )

    @model_validator(mode="before")
    @classmethod
    def _an_environment_is_the_run_s(cls, values: Any) -> Any:
        if isinstance(values, dict) and "environment" in values:
            raise ValueError(
                "all data sets of a run share its environment: give environment beside data, or train on the data sets that "
                "need another one in a run or a stage of their own"
            )
        return values

    @field_validator("weight")
    @classmethod
    def _something_is_drawn(cls, weight: float) -> float:
        if not 0.0 < weight < math.inf:
            raise ValueError(f"found {weight:g}, must be above 0; take a data set out that nothing is to be drawn from")
        return weight

    @field_validator("verifiers")
    @classmethod
    def _somebody_scores(cls, verifiers: list[VerifierConfig] | None) -> list[VerifierConfig] | None:
        if verifiers is not None and not verifiers:
            raise ValueError("an empty list scores nothing; leave it out for the recipe's verifiers")
        return verifiers

    @property
    def called(self) -> str:
        """Its name: the one that is given, or that of the task or of the file."""
        if self.name is not None:
            return self.name
        if self.task is not None:
            return self.task if self.level == 1 else f"{self.task}-{self.level}"
        of_file = re.sub(r"[^A-Za-z0-9_-]", "-", Path(str(self.path)).name.partition(".")[0])
        return of_file.lstrip("_-0123456789")[:40] or "data"

    def alone(self) -> DataConfig:
        """The same as a section of its own, which has neither name nor weight."""
        said = {key: getattr(self, key) for key in self.model_fields_set if key in DataConfig.model_fields}
        return DataConfig.model_validate(said)


# The two ways to write the section: one data set, or a list of several. They stand in an error's path.
ONE, SEVERAL = "<one>", "<several>"


def _how_written(section: Any) -> str:
    return SEVERAL if isinstance(section, (list, tuple)) else ONE


DataSection = Annotated[
    Annotated[DataConfig, Tag(ONE)] | Annotated[tuple[DataSetConfig, ...], Tag(SEVERAL)],
    Discriminator(_how_written),
]


def check_names(sets: tuple[DataSetConfig, ...]) -> list[str]:
    """What is wrong with the names of several data sets."""
    if not sets:
        return ["data: an empty list has nothing to train on; name a task or a path"]
    names = [entry.called for entry in sets]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [
        f"data: {' and '.join(f'data.{i}' for i, n in enumerate(names) if n == name)} are both called {name!r}; give each a "
        "name of its own"
        for name in twice
    ]


class CurriculumConfig(Strict):
    """Which prompts of the data come next. All but ``order`` go by how many responses to them were right so far."""

    sampler: Literal["order", "pools", "thompson"] = Field(
        "order",
        description="order: each prompt once an epoch; pools: those that are too easy or too hard are left out of most "
        "epochs; thompson: those whose success is drawn nearest to target from its posterior",
    )
    target: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(0.5, description="thompson: the success that is looked for")
    decay: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.98, description="what a response still counts a step later, as the policy changes"
    )
    hard: Fraction = Field(0.1, description="a prompt is too hard when at most this share of its responses was right")
    easy: Fraction = Field(0.9, description="and too easy when at least this share was")
    revisit: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.1, description="pools: chance that a prompt which is too easy or too hard is drawn in an epoch"
    )

    @model_validator(mode="after")
    def _pools_are_apart(self) -> CurriculumConfig:
        if self.hard >= self.easy:
            raise ValueError(f"hard {self.hard:g} must be below easy {self.easy:g}")
        return self

    @property
    def learns(self) -> bool:
        """Whether it goes by what was sampled so far."""
        return self.sampler != "order"


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
    tokenized: Literal["apart", "together"] = Field(
        "apart",
        description="apart: the prompt as in sampling, then the ids of the response and of a turn's end; together: prompt and "
        "response as one text, plain text without a chat template, as TRL does",
    )
    learned: Literal["response", "all"] = Field(
        "response", description="all: every token of a row that is tokenised together, as texts without a prompt need"
    )

    @model_validator(mode="after")
    def _one_source(self) -> ExamplesConfig:
        if self.tokenized == "together" and self.path is None:
            raise ValueError("tokenized: together is how rows of path are read; give path, or leave it out")
        if self.learned == "all" and self.tokenized == "apart":
            raise ValueError("learned: all needs tokenized: together")
        if (self.path is not None) + (self.rollouts is not None) + self.demonstrations != 1:
            raise ValueError("needs exactly one of path (a file), rollouts (a run directory) and demonstrations: true")
        return self
