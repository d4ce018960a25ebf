"""``grpo-kit environments``: list, show, scaffold and test environments and tools."""

from __future__ import annotations

import json
import keyword
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grpo_kit.cli.evaluate import key_values
from grpo_kit.cli.help_texts import examples
from grpo_kit.cli.users_own import find_users_own
from grpo_kit.errors import UserError

if TYPE_CHECKING:
    from grpo_kit.environments.selftest import Row
    from grpo_kit.types import Message, Task

app = typer.Typer(
    help="List, show, write and test environments and tools.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(help="a name, package.module:Name or path/file.py:Name")]
Options = Annotated[
    list[str] | None, typer.Option("--option", "-o", help="key=value of the class, value as JSON; repeat for more")
]
DATA_ROWS = 5
LONGEST_MESSAGE, LONGEST_LABEL, LONGEST_PROBLEM = 600, 40, 300  # characters


class CallFormat(StrEnum):
    hermes = "hermes"
    llama = "llama"
    mistral = "mistral"
    json = "json"


class Kind(StrEnum):
    game = "game"
    tools = "tools"


Format = Annotated[CallFormat, typer.Option(help="how tools are called")]


@app.command("ls", epilog=examples("grpo-kit environments ls"))
def list_environments() -> None:
    """Every environment and tool that can be used by name."""
    from grpo_kit.environments.lookup import environment_names, get_part
    from grpo_kit.observe.tables import Column, show_table
    from grpo_kit.observe.terminal import open_console

    parts = [(name, find_users_own(name, get_part)) for name in environment_names()]
    rows = [(name, "tool" if part.make is None else "class", part.doc.partition("\n")[0]) for name, part in parts]
    columns = [Column("name"), Column("kind"), Column("what", words=True)]
    show_table(open_console(), columns, rows, framed=False, heading=False)


@app.command(epilog=examples("grpo-kit environments show calculator", "grpo-kit environments show guess_number"))
def show(name: Name, option: Options = None, format: Format = CallFormat.hermes) -> None:
    """What an environment does, its options, limits, tools and their schemas, and an episode of it."""
    from grpo_kit.environments.lookup import EnvironmentSpec, get_part
    from grpo_kit.environments.register import cases_of
    from grpo_kit.observe.terminal import line, open_console

    part = find_users_own(name, get_part)
    console = open_console()
    turns = "" if part.turns is None else f", {part.turns} turns"
    line(console, f"{part.name} (version {part.version})")
    line(console, f"  {part.origin}")
    line(console, f"  {part.timeout:g} s a reply{turns}")
    if part.options:
        options = (f"{key}{'' if optional else ' (needed)'}" for key, optional in part.options.items() if key != "**")
        line(console, f"  options: {', '.join(options)}")
    line(console, f"\n{part.doc or 'no docstring'}")
    for tool in part.tools:
        line(console, f"\n{json.dumps(tool.schema, indent=2, ensure_ascii=False)}")
    cases = find_users_own(name, lambda _: cases_of(part))
    if cases:
        from grpo_kit.environments.selftest import conversation

        spec = EnvironmentSpec(name, options=key_values(option or [], "--option"), format=format.value)
        try:
            _print_conversation(*conversation(spec, cases[0]))
        except UserError as error:
            line(console, f"\nNo episode can be shown: {error}")


@app.command(
    epilog=examples("grpo-kit environments new my_game.py", "grpo-kit environments new my_tools.py --kind tools")
)
def new(
    file: Annotated[Path, typer.Argument(help="the file to write, for example my_game.py")],
    kind: Annotated[
        Kind, typer.Option(help="game: a class that answers turns; tools: functions that the policy calls")
    ] = Kind.game,
) -> None:
    """Write an environment with its cases."""
    from grpo_kit.environments.lookup import environment_names

    name = file.stem
    if file.suffix != ".py" or not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"{file}: name it like my_game.py; the file's name becomes the environment's")
    if file.exists():
        raise UserError(f"{file} exists; choose another name")
    if name in environment_names():
        raise UserError(f"{file}: {name} is the name of an environment that is there; choose another one")
    attribute = "".join(part.capitalize() for part in name.split("_")) or "Game"
    text = (GAME if kind is Kind.game else TOOLS).replace("__CLASS__", attribute).replace("__NAME__", name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    typer.echo(f"{file}: edit it, then run")
    typer.echo(f"  grpo-kit environments test {shlex.quote(f'{file}:{attribute}')}")


@app.command("test", epilog=examples("grpo-kit environments test guess_number"))
def check(
    name: Name,
    cases: Annotated[
        Path | None,
        typer.Option(help="JSONL with turns (text or calls) and replies, reward, done, prompt, answer, meta, options"),
    ] = None,
    data: Annotated[str | None, typer.Option(help="a recipe, on whose tasks the policies play")] = None,
    option: Options = None,
    format: Format = CallFormat.hermes,
) -> None:
    """Play its cases, a random policy and attacks, all of it twice; exit code 1 when something is wrong."""
    from grpo_kit.environments.lookup import EnvironmentSpec
    from grpo_kit.environments.selftest import examine, read_cases, with_example

    spec = EnvironmentSpec(name, options=key_values(option or [], "--option"), format=format.value)
    try:
        chosen = None if cases is None else read_cases(cases)
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    found = find_users_own(name, lambda _: with_example(spec, chosen).find())
    rows = examine(spec, chosen, [] if data is None else _tasks_of(data))
    _print_rows(found.name, rows)
    if any(row.problem for row in rows):
        raise typer.Exit(1)


def _tasks_of(recipe: str) -> list[Task]:
    from grpo_kit.config.read import load_recipe
    from grpo_kit.data.datasets import training_source

    source = training_source(load_recipe(recipe))
    return [source.task(index) for index in range(min(source.size or DATA_ROWS, DATA_ROWS))]


def _print_conversation(messages: list[Message], end: Any) -> None:
    from grpo_kit.observe.terminal import clip, line, open_console

    console = open_console()
    line(console, "\nAn episode:")
    for message in messages:
        who = "policy" if message["role"] == "assistant" else message["role"]
        text = clip(message["content"], LONGEST_MESSAGE).replace("\n", f"\n{'':10}")
        line(console, f"  {who:<7} {text}")
    paid = "" if end["reward"] is None else f", reward {end['reward']:g}"
    line(console, f"  {end['problem'] or ('over' if end['done'] else 'not over')}{paid}")


def _print_rows(name: str, rows: list[Row]) -> None:
    """Each row on a line of its own; what is wrong with it below."""
    from grpo_kit.observe.terminal import clip, line, open_console

    console = open_console()
    labels = [" ".join(clip(row.label, LONGEST_LABEL).split()) for row in rows]
    width = max(map(len, labels), default=0)
    line(console, f"{'':6} {'':<{width}} {'turns':>6} {'reward':>6} {'slowest':>9}")
    for label, row in zip(labels, rows, strict=True):
        reward = "-" if row.reward is None else f"{row.reward:g}"
        said = f"{row.kind:<6} {label:<{width}} {row.turns:>6} {reward:>6} {1000 * row.seconds:>6.1f} ms"
        line(console, f"{said}{'  FAIL' if row.problem else ''}")
        if row.problem:
            line(console, f"       {' '.join(clip(row.problem, LONGEST_PROBLEM).split())}")
    failed = sum(bool(row.problem) for row in rows)
    counts = {kind: sum(row.kind == kind for row in rows) for kind in ("case", "random", "attack")}
    tried = f"({counts['case']} cases, {counts['random']} random policies, {counts['attack']} attacks, all replayed)"
    line(console, f"\n{name}: {f'FAIL, {failed} of {len(rows)} wrong' if failed else 'PASS'} {tried}")


GAME = '''"""An environment. Test it:  grpo-kit environments test __NAME__.py:__CLASS__"""

from grpo_kit.environments import Case, Done, ToolError, environment


def cases():
    """What a policy says turn by turn, what each answer holds, and what the episode pays."""
    return [Case(["50", "37"], replies=["lower"], reward=1.0, answer=37)]


@environment(name="__NAME__", timeout=2.0, turns=8, version="1", cases=cases)
class __CLASS__:
    """Find the task's answer, a whole number."""

    def begin(self, task, random):
        self.secret = int(task.answer)

    def reply(self, response: str):
        words = response.split()
        if not words or not words[-1].isdecimal() or len(words[-1]) > 9:
            raise ToolError("Say a whole number.")
        guess = int(words[-1])
        return Done(1.0) if guess == self.secret else ("higher" if guess < self.secret else "lower")
'''
TOOLS = '''"""Tools that live for an episode. Test them:  grpo-kit environments test __NAME__.py:__CLASS__"""

from grpo_kit.environments import Call, Case, ToolError, environment, tool


def cases():
    """What a policy says and calls turn by turn, and what each answer holds. A turn without a call ends the episode."""
    keep = Call("remember", {"name": "pi", "value": "3.14"})
    return [Case([keep, Call("recall", {"name": "pi"}), "It is 3.14."], replies=["kept", "3.14"])]


@environment(name="__NAME__", timeout=2.0, turns=8, version="1", cases=cases)
class __CLASS__:
    """Notes."""

    def __init__(self, most: int = 100):
        self.notes, self.most = {}, most

    @tool
    def remember(self, name: str, value: str) -> str:
        """Keep a note.

        Args:
            name: under which it is found again
            value: what to keep
        """
        if len(self.notes) >= self.most or len(value) > 1000:
            raise ToolError("There is no room for it.")
        self.notes[name] = value
        return "kept"

    @tool
    def recall(self, name: str) -> str:
        """Read a note.

        Args:
            name: under which it was kept
        """
        if name not in self.notes:
            raise ToolError(f"There are notes under: {', '.join(self.notes) or 'no name yet'}.")
        return self.notes[name]
'''
