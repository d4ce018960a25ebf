"""``grpo-kit eval``, ``score``, ``compare``, ``report`` and ``rollouts``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from grpo_kit.errors import UserError

Options = Annotated[list[str] | None, typer.Option("--option", "-o", help="verifier option key=value, value as JSON")]
Workers = Annotated[int | None, typer.Option(min=0, help="scoring processes; 0 scores in this one [the cores]")]
Out = Annotated[Path | None, typer.Option(help="folder for results.json and samples.jsonl")]
Markdown = Annotated[Path | None, typer.Option(help="also write the table for a README")]


def mount(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (score,):
        app.command()(command)


def score(
    file: Annotated[Path, typer.Argument(help=".jsonl, .json or .parquet, one or several responses per row")],
    verifier: Annotated[str, typer.Option(help="a name, package.module:function or path/file.py:function")] = "math",
    response_field: Annotated[
        list[str] | None, typer.Option(help="text or a list of texts; a.b reaches inside; repeat for several models")
    ] = None,
    gold_field: Annotated[str | None, typer.Option(help="the gold answer")] = None,
    label_field: Annotated[
        list[str] | None, typer.Option(help="an existing verdict to compare with; one for each response field")
    ] = None,
    id_field: Annotated[str | None, typer.Option(help="rows with the same id are samples of one problem")] = None,
    prompt_field: Annotated[str | None, typer.Option(help="the question, where the verifier wants it")] = None,
    option: Options = None,
    limit: Annotated[int | None, typer.Option(min=1, help="only the first rows")] = None,
    disagreements: Annotated[int, typer.Option(min=0, help="how many to show")] = 20,
    workers: Workers = None,
    out: Out = None,
    markdown: Markdown = None,
) -> None:
    """Score an outputs file again with a verifier; no model is needed."""
    from grpo_kit.evaluate.commands import score_file
    from grpo_kit.evaluate.files import Fields

    responses: list[str | None] = [*(response_field or [None])]
    labels: list[str | None] = [*(label_field or [None] * len(responses))]
    if len(labels) != len(responses):
        raise UserError(f"--label-field: {len(labels)} are given for {len(responses)} response fields")
    chosen = [Fields(r, gold_field, label, id_field, prompt_field) for r, label in zip(responses, labels, strict=True)]
    score_file(
        file,
        chosen,
        verifier,
        verifier_options(option or []),
        limit=limit,
        disagreements=disagreements,
        workers=workers,
        out=out,
        markdown_path=markdown,
    )


def verifier_options(pairs: list[str]) -> dict[str, Any]:
    """``key=value`` pairs, the value as JSON where it is JSON and as text where it is not."""
    options = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise UserError(f"--option {pair}: write key=value")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options
