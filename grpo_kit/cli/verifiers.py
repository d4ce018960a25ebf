"""``grpo-kit verifiers``: list, show, scaffold and test verifiers."""

from __future__ import annotations

import inspect
import keyword
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grpo_kit.cli.evaluate import key_values
from grpo_kit.cli.help_texts import examples
from grpo_kit.cli.skeletons import SKELETONS, Kind
from grpo_kit.cli.users_own import find_users_own
from grpo_kit.errors import UserError

if TYPE_CHECKING:
    from grpo_kit.scoring.selftest import Row
    from grpo_kit.verifiers.cases import Case

app = typer.Typer(help="List, show, write and test verifiers.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="a name, package.module:function or path/file.py:function")]
DATA_ROWS = 200
LONGEST_LABEL, LONGEST_PROBLEM = 60, 160  # characters of a row of `verifiers test`


@app.command("ls", epilog=examples("grpo-kit verifiers ls"))
def list_verifiers() -> None:
    """Every verifier that can be used by name."""
    from grpo_kit.observe.tables import Column, show_table
    from grpo_kit.observe.terminal import open_console
    from grpo_kit.verifiers.lookup import named_verifier, verifier_names

    known = [(name, named_verifier(name)) for name in verifier_names()]
    rows = [(name, _first_line(found.source or found.function)) for name, found in known if found is not None]
    show_table(open_console(), [Column("name"), Column("what", words=True)], rows, framed=False, heading=False)


@app.command(epilog=examples("grpo-kit verifiers show math"))
def show(name: Name) -> None:
    """What a verifier does, what it is given, its options and limits."""
    from grpo_kit.observe.terminal import line, open_console

    found = _find(name)
    function = found.source or found.function
    kind = "group" if found.group else "batch" if found.batch else "single"
    where = "the trainer's process" if found.in_process else "worker processes"
    console = open_console()
    shape = f"{found.shape}{', async' if found.is_async else ''}, {kind}"
    line(console, f"{found.name} (version {found.version}, {shape})")
    line(console, f"  {found.origin}")
    line(console, f"  timeout {found.timeout:g} s, weight {found.weight:g}, runs in {where}")
    line(console, f"  signature {inspect.signature(function)}\n")
    line(console, inspect.cleandoc(inspect.getdoc(function) or "no docstring"))


@app.command(epilog=examples("grpo-kit verifiers new my_check.py"))
def new(
    file: Annotated[Path, typer.Argument(help="the file to write, for example my_check.py")],
    kind: Annotated[
        Kind,
        typer.Option(help="plain: a response a call; batch: many; group: all of one task; async: waits for a service"),
    ] = Kind.plain,
) -> None:
    """Write a verifier, its cases and a test for it."""
    name, test, cases = file.stem, file.with_name(f"test_{file.name}"), file.with_suffix(".jsonl")
    from grpo_kit.verifiers.lookup import verifier_names

    if file.suffix != ".py" or not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"{file}: name it like my_check.py; the file's name becomes the function's")
    if name in verifier_names():
        raise UserError(f"{file}: {name} is the name of a shipped verifier; choose another one")
    for path in (file, test, cases):
        if path.exists():
            raise UserError(f"{path} exists; choose another name")
    file.parent.mkdir(parents=True, exist_ok=True)
    SKELETONS[kind].write(file, test, cases)
    typer.echo(f"{file}, {test}, {cases}: edit them, then run")
    typer.echo(f"  grpo-kit verifiers test {shlex.quote(f'{file}:{name}')} --cases {shlex.quote(str(cases))}")


@app.command("test", epilog=examples("grpo-kit verifiers test math --data quickstart/addition"))
def check(
    name: Name,
    cases: Annotated[
        Path | None, typer.Option(help="JSONL with response (text or a list), answer, expected, prompt, meta")
    ] = None,
    data: Annotated[str | None, typer.Option(help="a recipe, whose gold answers must beat wrong ones")] = None,
    option: Annotated[list[str] | None, typer.Option("--option", "-o", help="key=value, value as JSON")] = None,
    meta: Annotated[
        list[str] | None, typer.Option(help="key=value, value as JSON, for verifiers that read meta; repeat for more")
    ] = None,
) -> None:
    """Score gold answers, then the attack list; exit code 1 when something is wrong."""
    from grpo_kit.scoring.selftest import examine, read_cases

    if cases is not None and data is not None:
        raise UserError("give --cases or --data, not both")
    columns = key_values(meta or [], "--meta")
    found = _find(name)
    chosen: list[Case] | None = None
    try:
        if cases is not None:
            chosen = read_cases(cases)
        elif data is not None:
            chosen = _cases_of(data)
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    rows = examine(name, chosen, key_values(option or [], "--option"), columns)
    _print(found.name, rows)
    if any(row.problem and not row.warning for row in rows):
        raise typer.Exit(1)


def _find(name: str) -> Any:
    from grpo_kit.verifiers import get_verifier

    return find_users_own(name, get_verifier)


def _cases_of(recipe: str) -> list[Case]:
    from grpo_kit.config.read import load_recipe
    from grpo_kit.data.datasets import training_source
    from grpo_kit.train.preflight import gold_response
    from grpo_kit.verifiers.cases import Case

    source = training_source(load_recipe(recipe))
    found = []
    for index in range(min(source.size or DATA_ROWS, DATA_ROWS)):
        task = source.task(index)
        response = gold_response(source, index, task)
        found.append(Case(response, task.answer, task.prompt, task.meta, label=f"gold of {task.id}", gold=True))
    return found


def _print(name: str, rows: list[Row]) -> None:
    """Each row on a line of its own: labels, reasons and statuses hold what responses, cases and exceptions say."""
    from grpo_kit.observe.terminal import clip, line, open_console

    console = open_console()
    labels = [" ".join(clip(row.label, LONGEST_LABEL).split()) for row in rows]
    width = max(map(len, labels))
    line(console, f"{'':6} {'':<{width}}  {'score':>7} {'status':>8} {'time':>9}")
    for label, row in zip(labels, rows, strict=True):
        value = f"{row.score.value:g}" if row.score.counts else "-"
        problem = "" if row.warning else " ".join(clip(row.problem, LONGEST_PROBLEM).split())
        said = f"{row.kind:<6} {label:<{width}}  {value:>7} {row.score.status:>8} {1000 * row.seconds:>6.1f} ms"
        line(console, f"{said}  {'FAIL: ' if problem else ''}{problem}".rstrip())
    failed = [row for row in rows if row.problem and not row.warning]
    cases = sum(row.kind == "case" for row in rows)
    tried = f"({cases} case{'s' * (cases != 1)}, {len(rows) - cases} attacks)"
    line(
        console, f"\n{name}: FAIL, {len(failed)} of {len(rows)} wrong {tried}" if failed else f"\n{name}: PASS {tried}"
    )


def _first_line(function: Any) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]
