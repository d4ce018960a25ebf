"""``grpo-kit eval``, ``score``, ``compare``, ``report`` and ``rollouts``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from grpo_kit.cli.help_texts import examples
from grpo_kit.compat.foreign import ForeignTask
from grpo_kit.errors import UserError

Options = Annotated[list[str] | None, typer.Option("--option", "-o", help="verifier option key=value, value as JSON")]
Workers = Annotated[int | None, typer.Option(min=0, help="scoring processes; 0 scores in this one [the cores]")]
Out = Annotated[Path | None, typer.Option(help="folder for results.json and samples.jsonl")]
Markdown = Annotated[Path | None, typer.Option(help="also write the table for a README")]


class Engine(StrEnum):
    torch = "torch"
    vllm = "vllm"
    vllm_server = "vllm_server"


class Dtype(StrEnum):
    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


def mount(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for name, command, example in (
        ("eval", evaluate, "grpo-kit eval runs/NAME --tasks addition -n 8 --limit 64"),
        ("score", score, "grpo-kit score outputs.jsonl --verifier math"),
        ("compare", compare, "grpo-kit compare evals/before evals/after"),
        ("report", report, "grpo-kit report runs/NAME"),
        ("rollouts", rollouts, "grpo-kit rollouts runs/NAME --score '< 0.5' --limit 5"),
    ):
        app.command(name, epilog=examples(example))(command)


def evaluate(
    checkpoints: Annotated[list[str], typer.Argument(help="run, checkpoint or model folders, or hub names")],
    tasks: Annotated[
        str,
        typer.Option(
            help="names, name=path, task files (.yaml), data files or recipes, with commas between; lm_eval:NAME, "
            "inspect:FILE.py@TASK"
        ),
    ],
    n: Annotated[int, typer.Option("-n", "--samples", min=0, help="completions per problem")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy")] = 1.0,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0)] = 1.0,
    top_k: Annotated[int, typer.Option(min=0, help="0 is off")] = 0,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="default: what the task file says")] = None,
    greedy: Annotated[bool, typer.Option(help="also one greedy answer per problem")] = True,
    engine: Annotated[Engine, typer.Option(help="what samples")] = Engine.torch,
    server: Annotated[list[str] | None, typer.Option(help="http://host:port of a vLLM server; repeat for more")] = None,
    verifier: Annotated[str | None, typer.Option(help="who judges, instead of the one that the task names")] = None,
    option: Options = None,
    prompt_field: Annotated[str | None, typer.Option(help="the column of a data file that holds the question")] = None,
    gold_field: Annotated[str | None, typer.Option(help="the column of a data file that holds the answer")] = None,
    chat: Annotated[
        list[str] | None,
        typer.Option("--chat", help="argument of the chat template: enable_thinking=false; repeat for more"),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="only the first problems of each task")] = None,
    seed: Annotated[int, typer.Option(help="of the sampling")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda")] = "auto",
    dtype: Annotated[Dtype, typer.Option(help="of matrix products")] = Dtype.auto,
    resume: Annotated[bool, typer.Option("--resume", help="continue the evaluation in --out")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="check everything, show two prompts of each task, and load no weights")
    ] = False,
    workers: Workers = None,
    out: Out = None,
    markdown: Markdown = None,
) -> None:
    """Evaluate checkpoints: accuracy with honest errors, and every completion kept."""
    from grpo_kit.config import VerifierConfig
    from grpo_kit.evaluate.commands import evaluate_checkpoints
    from grpo_kit.evaluate.tasks import Changes

    if option and verifier is None:
        raise UserError("--option is for --verifier; a task file gives its own verifier's options")
    judge = None if verifier is None else VerifierConfig(name=verifier, options=key_values(option or [], "--option"))
    values = {
        "n": n,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "max_tokens": max_tokens,
        "greedy": greedy,
        "engine": engine.value,
        "servers": tuple(server or ()),
        "seed": seed,
        "device": device,
        "dtype": dtype.value,
        "workers": workers,
    }
    names = [name.strip() for name in tasks.split(",") if name.strip()]
    if not names:
        raise UserError("--tasks: name at least one task")
    foreign = {name: ForeignTask.read(name) for name in names}
    if any(foreign.values()):
        usual = {"n": 1, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "greedy": True, "workers": None}
        changed = [f"--{name.replace('_', '-')}" for name, value in usual.items() if values[name] != value]
        given = {"--verifier": verifier, "--prompt-field": prompt_field, "--gold-field": gold_field, "--chat": chat,
                 "--resume": resume, "--dry-run": dry_run, "--markdown": markdown}  # fmt: skip
        changed += [name for name, value in given.items() if value]
        _evaluate_foreign(checkpoints, foreign, values, changed, limit, out)
        return
    evaluate_checkpoints(
        checkpoints,
        names,
        values,
        limit=limit,
        out=out,
        resume=resume,
        markdown_path=markdown,
        changes=Changes(judge, prompt_field, gold_field, key_values(chat or [], "--chat")),
        dry_run=dry_run,
    )


def _evaluate_foreign(
    checkpoints: list[str],
    tasks: dict[str, ForeignTask | None],
    values: dict[str, Any],
    changed: list[str],
    limit: int | None,
    out: Path | None,
) -> None:
    """Tasks of other harnesses. changed: options that were given and are theirs to decide."""
    from grpo_kit.compat.harness import evaluate_foreign
    from grpo_kit.evaluate.checkpoints import settings_from
    from grpo_kit.observe.terminal import open_console

    foreign = [task for task in tasks.values() if task is not None]
    if own := [name for name, task in tasks.items() if task is None]:
        raise UserError(
            f"--tasks: {', '.join(own)} and tasks of another harness are evaluated in commands of their own"
        )
    if changed:
        raise UserError(
            f"{', '.join(changed)}: a task of another harness says itself how it is asked and judged; --limit, --max-tokens, "
            "--engine, --server, --device, --dtype, --seed and --out are for it"
        )
    evaluate_foreign(
        checkpoints, foreign, settings_from(values | {"workers": 0}), limit=limit, max_tokens=values["max_tokens"], out=out,
        console=open_console(),
    )  # fmt: skip


def score(
    file: Annotated[
        Path, typer.Argument(help="a run, an evaluation, or a .jsonl, .jsonl.gz, .json or .parquet of responses")
    ],
    verifier: Annotated[str, typer.Option(help="a name, package.module:function or path/file.py:function")] = "math",
    response_field: Annotated[
        list[str] | None, typer.Option(help="text or a list of texts; a.b reaches inside; repeat for several models")
    ] = None,
    gold_field: Annotated[str | None, typer.Option(help="the gold answer")] = None,
    label_field: Annotated[
        list[str] | None, typer.Option(help="an existing verdict to compare with; one for each response field")
    ] = None,
    label_threshold: Annotated[
        float | None, typer.Option(help="a label of so much is right [1; half of the highest where none reaches 1]")
    ] = None,
    step: Annotated[str | None, typer.Option(help="of a run: 10, 5-20, '>= 5' [the last one]")] = None,
    id_field: Annotated[str | None, typer.Option(help="rows with the same id are samples of one problem")] = None,
    prompt_field: Annotated[str | None, typer.Option(help="the question, where the verifier wants it")] = None,
    option: Options = None,
    limit: Annotated[int | None, typer.Option(min=1, help="only the first rows of a file")] = None,
    disagreements: Annotated[int, typer.Option(min=0, help="how many to show")] = 20,
    workers: Workers = None,
    out: Out = None,
    markdown: Markdown = None,
) -> None:
    """Score a run's rollouts or an outputs file again with a verifier, and compare with the reward; no model is needed."""
    from grpo_kit.evaluate.commands import score_file
    from grpo_kit.evaluate.files import Fields

    responses: list[str | None] = list(response_field or ()) or [None]
    labels: list[str | None] = list(label_field or ()) or [None for _ in responses]
    if len(labels) != len(responses):
        raise UserError(f"--label-field: {len(labels)} are given for {len(responses)} response fields")
    chosen = [Fields(r, gold_field, label, id_field, prompt_field) for r, label in zip(responses, labels, strict=True)]
    score_file(
        file,
        chosen,
        verifier,
        key_values(option or [], "--option"),
        limit=limit,
        disagreements=disagreements,
        workers=workers,
        out=out,
        markdown_path=markdown,
        step=step,
        threshold=label_threshold,
    )


def compare(
    evaluations: Annotated[
        list[Path], typer.Argument(help="folders of eval or score; each is compared with the first")
    ],
    flips: Annotated[int, typer.Option(min=0, help="how many problems that flipped to show")] = 5,
    out: Annotated[Path | None, typer.Option(help="also write everything as JSON")] = None,
    markdown: Markdown = None,
) -> None:
    """Compare evaluations on the same problems: paired tests, intervals, and what flipped."""
    from grpo_kit.evaluate.commands import compare_evaluations

    compare_evaluations(evaluations, flips=flips, out=out, markdown_path=markdown)


def report(
    folder: Annotated[Path, typer.Argument(help="a run, also one in progress, or a folder of eval")],
    out: Annotated[Path | None, typer.Option(help="the file to write [FOLDER/report.html]")] = None,
    limit: Annotated[int, typer.Option(min=1, help="how many completions the page holds at most")] = 10_000,
    watch: Annotated[float | None, typer.Option(min=1.0, help="write it again every so many seconds")] = None,
) -> None:
    """Write one HTML page with everything about a run or an evaluation."""
    import time

    from grpo_kit.report import write_report

    typer.echo(write_report(folder, out, limit))
    while watch is not None:
        time.sleep(watch)
        write_report(folder, out, limit)


def rollouts(
    folder: Annotated[Path, typer.Argument(help="a run or a folder of eval")],
    step: Annotated[str | None, typer.Option(help="10, 5-20, '>= 5' [the last one]")] = None,
    task: Annotated[str | None, typer.Option(help="part of the problem's name")] = None,
    score: Annotated[str | None, typer.Option(help="1, '< 0.5'")] = None,
    advantage: Annotated[str | None, typer.Option(help="'> 0'")] = None,
    stop: Annotated[str | None, typer.Option(help="stop or length")] = None,
    search: Annotated[str | None, typer.Option(help="words in the prompt, the completion or the answer")] = None,
    sort: Annotated[str | None, typer.Option(help="score, advantage, length or surprise")] = None,
    ascending: Annotated[bool, typer.Option("--ascending", help="the smallest first")] = False,
    limit: Annotated[int, typer.Option(min=1, help="how many to list")] = 20,
    show: Annotated[
        int | None, typer.Option(min=0, help="a number of the list: that completion with its group")
    ] = None,
) -> None:
    """Look at completions in the terminal."""
    from grpo_kit.observe.terminal import open_console
    from grpo_kit.report.rollouts import Choice, choose, read_rows, show_list, show_one

    everything = read_rows(folder, step)
    found = choose(everything, Choice(step, task, score, advantage, stop, search, sort, not ascending))
    if show is None:
        show_list(open_console(), found, limit)
    elif show < len(found):
        show_one(open_console(), found[show], everything)
    else:
        raise UserError(f"--show {show}: the list has {len(found)} completions")


def key_values(pairs: list[str], option: str) -> dict[str, Any]:
    """``key=value`` pairs, the value as JSON where it is JSON and as text where it is not."""
    found = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UserError(f"{option} {pair}: write key=value")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found
