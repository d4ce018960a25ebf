"""`grpo_kit.evaluate`, `score` and `compare`: what the commands of these names do, returning the numbers."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpo_kit.config import VerifierConfig
from grpo_kit.errors import UserError
from grpo_kit.evaluate.commands import compare_evaluations, evaluate_checkpoints, score_file
from grpo_kit.evaluate.compare import Comparison
from grpo_kit.evaluate.files import Fields
from grpo_kit.evaluate.protocol import Result, read_evaluation
from grpo_kit.evaluate.records import Record
from grpo_kit.evaluate.show import table_rows
from grpo_kit.evaluate.tasks import Changes
from grpo_kit.observe.terminal import open_console
from grpo_kit.runtime.modules import refuse_while_importing
from grpo_kit.runtime.process import prepare_process

from .overrides import plain_value
from .run import Run

Where = str | Path | Run
Judge = str | Callable[..., Any]


@dataclass(frozen=True)
class Evaluation:
    """How good a model's responses are, by a judge.

    Attributes:
        result: what ``results.json`` holds: the model, how it was run, and each task's protocol and metrics.
        samples: every judged response.
        path: the folder that it was written to; None where nothing was written.
        disagreements: where responses came with a label or a reward, those that the judge sees otherwise.
    """

    result: Result
    samples: list[Record]
    path: Path | None = None
    disagreements: tuple[Record, ...] = ()

    @property
    def label(self) -> str:
        return str(self.result.model["label"])

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """The metrics of each task: ``avg`` (with ``error``, ``low``, ``high``), ``greedy``, ``pass_at``, ..."""
        return {name: task.metrics for name, task in self.result.tasks.items()}

    def accuracy(self, task: str | None = None) -> float:
        """avg@n of a task (of the first one), that of greedy answers where nothing was sampled."""
        metrics = self.tasks[task or next(iter(self.tasks))]
        return float((metrics["avg"] if metrics["samples"] else metrics["greedy"])["value"])

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {self.accuracy(name):.1%}" for name in self.tasks)
        return f"Evaluation({self.label!r}: {found})"

    def _repr_html_(self) -> str:
        header, rows = table_rows([self.result])
        cells = [f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in row)}</tr>"
                 for tag, row in (("th", header), *(("td", row) for row in rows))]  # fmt: skip
        return f"<table>{''.join(cells)}</table>"


def evaluate(
    checkpoint: Where,
    tasks: str | Sequence[str],
    *,
    n: int = 1,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    max_tokens: int | None = None,
    greedy: bool = True,
    engine: str = "torch",
    servers: Sequence[str] = (),
    verifier: Judge | None = None,
    options: Mapping[str, Any] | None = None,
    prompt_field: str | None = None,
    gold_field: str | None = None,
    chat: Mapping[str, Any] | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    workers: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Evaluation:
    """Sample answers from a checkpoint and judge them: `grpo-kit eval`.

    Args:
        checkpoint: a run, the folder of a run, a checkpoint or a model, or a name on the hub.
        tasks: names, ``name=path``, task files (.yaml), data files or recipes.
        n: completions for each problem; ``temperature``, ``top_p``, ``top_k`` and ``max_tokens`` say how they are sampled.
        greedy: also one greedy answer for each problem.
        engine: ``torch``, ``vllm``, or ``vllm_server`` with its ``servers``.
        verifier: who judges, instead of the one that the task names: a name, or a function of a file; ``options`` are its
            keywords.
        prompt_field, gold_field: columns of a data file.
        chat: arguments of the chat template.
        limit: only the first problems of each task.
        workers: scoring processes; 0 scores in this one; default: the cores.
        out: where results.json and samples.jsonl are written; default: a new folder in evals/.
        resume: go on with the evaluation in ``out``.
        progress: print what the command prints.

    Raises:
        UserError: a checkpoint, a task or the verifier cannot be used; nothing is written then.
    """
    refuse_while_importing("grpo_kit.evaluate")
    prepare_process()
    judge = (
        None
        if verifier is None
        else VerifierConfig(name=plain_value("verifier", verifier), options=dict(options or {}))
    )
    values = {
        "n": n, "temperature": temperature, "top_p": top_p, "top_k": top_k, "max_tokens": max_tokens, "greedy": greedy,
        "engine": engine, "servers": tuple(servers), "seed": seed, "device": device, "dtype": dtype, "workers": workers,
    }  # fmt: skip
    (folder,) = evaluate_checkpoints(
        [_place(checkpoint)],
        [tasks] if isinstance(tasks, str) else list(tasks),
        values,
        limit=limit,
        out=None if out is None else Path(out),
        resume=resume,
        markdown_path=None,
        changes=Changes(judge, prompt_field, gold_field, dict(chat or {})),
        console=open_console(quiet=not progress),
    )
    return Evaluation(*read_evaluation(folder), folder)


def score(
    outputs: Where,
    verifier: Judge = "math",
    *,
    options: Mapping[str, Any] | None = None,
    response_field: str | None = None,
    gold_field: str | None = None,
    label_field: str | None = None,
    label_threshold: float | None = None,
    id_field: str | None = None,
    prompt_field: str | None = None,
    step: str | int | None = None,
    limit: int | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Evaluation:
    """Judge responses that exist already: `grpo-kit score`. No model is needed.

    Args:
        outputs: a run, an evaluation, or a .jsonl, .json or .parquet file of responses.
        verifier: a name, package.module:function, path/file.py:function, or a function of a file; ``options`` are its keywords.
        response_field, gold_field, label_field, id_field, prompt_field: columns of a file; default: the usual names.
        label_threshold: a label of so much is right.
        step: of a run, which steps: 10, ``"5-20"``, ``">= 5"``; default: the last one.
        limit: only the first rows of a file.
        workers: scoring processes; 0 scores in this one; default: the cores.
        out: where results.json and samples.jsonl are written; default: nowhere.
        progress: print what the command prints.

    Raises:
        UserError: the outputs, a field or the verifier cannot be used.
    """
    refuse_while_importing("grpo_kit.score")
    prepare_process()
    (found,) = score_file(
        Path(_place(outputs)),
        [Fields(response_field, gold_field, label_field, id_field, prompt_field)],
        plain_value("verifier", verifier),
        dict(options or {}),
        limit=limit,
        disagreements=20,
        workers=workers,
        out=None if out is None else Path(out),
        markdown_path=None,
        step=None if step is None else str(step),
        threshold=label_threshold,
        console=open_console(quiet=not progress),
    )
    return Evaluation(found.result, found.records, None if out is None else Path(out), tuple(found.disagreements))


def compare(
    *evaluations: str | Path | Evaluation, flips: int = 5, out: str | Path | None = None, progress: bool = True
) -> list[Comparison]:
    """Compare evaluations of the same problems, each with the first: `grpo-kit compare`.

    Args:
        evaluations: folders of `evaluate` or `score`, or what these returned, where it was written.
        flips: how many problems that flipped are printed.
        out: a file for everything as JSON.
        progress: print what the command prints.

    Raises:
        UserError: there are fewer than two, or they share no problem.
    """
    return compare_evaluations(
        [_written(evaluation) for evaluation in evaluations],
        flips=flips,
        out=None if out is None else Path(out),
        markdown_path=None,
        console=open_console(quiet=not progress),
    )


def _written(evaluation: str | Path | Evaluation) -> Path:
    """The folder of an evaluation. Raises UserError where it was written nowhere."""
    if isinstance(evaluation, Evaluation) and evaluation.path is None:
        raise UserError(
            f"compare: {evaluation!r} was written nowhere: give score or evaluate a folder, out='evals/mine'"
        )
    if not isinstance(evaluation, (str, Path, Evaluation)):
        raise UserError(
            f"compare: {evaluation!r:.80} is no evaluation: give folders of evaluations, or what evaluate returned"
        )
    return Path(evaluation.path or "") if isinstance(evaluation, Evaluation) else Path(evaluation)


def _place(where: Where) -> str:
    return str(where.path if isinstance(where, Run) else where)
