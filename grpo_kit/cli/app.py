"""The command line. Heavy imports stand inside the commands, so that --help answers at once."""

from __future__ import annotations

import errno
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from grpo_kit import __version__
from grpo_kit.cli.algorithms import algorithms
from grpo_kit.cli.data import app as data_app
from grpo_kit.cli.environments import app as environments_app
from grpo_kit.cli.evaluate import mount as mount_evaluation
from grpo_kit.cli.explain import metrics
from grpo_kit.cli.help_texts import examples, expanded
from grpo_kit.cli.importing import app as import_app
from grpo_kit.cli.plan import plan
from grpo_kit.cli.replay import replay
from grpo_kit.cli.verifiers import app as verifiers_app
from grpo_kit.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, RunFailed, UserError
from grpo_kit.runtime.process import Process, prepare_process

app = typer.Typer(
    name="grpo-kit",
    help="Train reasoning models with GRPO and its relatives; write verifiers; evaluate checkpoints.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
recipes_app = typer.Typer(help="List, show and copy the shipped recipes.", no_args_is_help=True)
config_app = typer.Typer(help="The recipe format.", no_args_is_help=True)
app.add_typer(recipes_app, name="recipes")
app.add_typer(config_app, name="config")
app.add_typer(verifiers_app, name="verifiers")
app.add_typer(environments_app, name="environments")
app.add_typer(data_app, name="data")
app.add_typer(import_app, name="import")
app.command(epilog=examples("grpo-kit algorithms", "grpo-kit algorithms dapo"))(algorithms)
app.command(epilog=examples("grpo-kit plan quickstart/addition --gpus 1x24GB"))(plan)
app.command(epilog=examples("grpo-kit replay runs/NAME --step 1"))(replay)

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What a path that somebody typed can be, beside missing.
BAD_PATH = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR)

Overrides = Annotated[list[str] | None, typer.Argument(help="key.sub=value, each replacing one value of the recipe")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"grpo-kit {__version__}")
        raise typer.Exit


class _Resumable(TyperCommand):
    """`--resume` alone means the newest checkpoint, `--resume 40` that of a step, `--resume auto` a run if there is one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        at = args.index("--resume") if "--resume" in args else None
        if at is not None and not (at + 1 < len(args) and (args[at + 1].isdecimal() or args[at + 1] == "auto")):
            args = [*args[:at], "--resume=latest", *args[at + 1 :]]
        return super().parse_args(ctx, args)


@app.command(
    cls=_Resumable,
    epilog=examples(
        "grpo-kit train quickstart/addition",
        "grpo-kit train quickstart/addition train.steps=20 --dry-run",
        "grpo-kit train grpo/gsm8k --dry-run --probe 64",
        "grpo-kit train ppo/chain --smoke",
    ),
)
def train(
    recipe: Annotated[str, typer.Argument(help="a recipe file, or the name of a shipped one")],
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, show the plan, train nothing.")] = False,
    probe: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="PROMPTS",
            help="With --dry-run: sample the start policy on so many, and say if it will learn.",
        ),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(parser=expanded, metavar="PATH", help="Where the run is written [runs/<recipe>-<time>]."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="[STEP|auto]",
            help="Go on with the run in --run-dir [its newest checkpoint]; auto: begin it if there is none yet.",
        ),
    ] = None,
    fork: Annotated[
        str | None, typer.Option("--fork", metavar="RUN@STEP", help="Begin a new run from a checkpoint of another.")
    ] = None,
    nproc: Annotated[int | None, typer.Option(min=1, help="Processes on this machine, through torchrun.")] = None,
    profile: Annotated[
        int | None,
        typer.Option(min=1, metavar="STEPS", help="Trace so many steps after the first: train.profile_steps."),
    ] = None,
    smoke: Annotated[
        bool,
        typer.Option("--smoke", help="Try every stage in seconds: 2 steps, 20 of a warm start, 16 problems evaluated."),
    ] = False,
) -> None:
    """Train with a recipe."""
    from grpo_kit.run.dispatch import train as start
    from grpo_kit.run.request import TrainRequest, read_resume

    overrides = overrides or []
    if smoke:
        from grpo_kit.run.smoke import smoke_overrides

        overrides = [*smoke_overrides(recipe), *overrides]
    if profile is not None:
        overrides = [*overrides, f"train.profile_steps={profile}"]

    start(TrainRequest(recipe, tuple(overrides), run_dir, read_resume(resume), fork, dry_run, probe, nproc))


@app.command(
    cls=_Resumable, epilog=examples("grpo-kit launch grpo/gsm8k --ray --nodes 2 --nproc 8 --run-dir /shared/runs/first")
)
def launch(
    recipe: Annotated[str, typer.Argument(help="a recipe file that every node sees, or the name of a shipped one")],
    run_dir: Annotated[
        Path, typer.Option(parser=expanded, metavar="PATH", help="Where the run is written; every node must see it.")
    ],
    overrides: Overrides = None,
    ray: Annotated[bool, typer.Option("--ray", help="Place the processes on the nodes of a Ray cluster.")] = False,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes of the cluster to use.")] = 1,
    nproc: Annotated[int, typer.Option(min=1, help="Processes on each of them.")] = 1,
    gpus: Annotated[bool, typer.Option(help="Ask for one GPU for each process.")] = True,
    max_restarts: Annotated[
        int, typer.Option(min=0, help="How often all start again for a dead rank, and how often for a lost node.")
    ] = 0,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="[STEP|auto]", help="As of `grpo-kit train`.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Of the cluster [RAY_ADDRESS, or the one running here].")] = None,
) -> None:
    """Train over several machines of a cluster. Without Ray, torchrun does it: docs/scaling.md."""
    if not ray:
        raise UserError(
            "launch needs --ray; on one machine use `grpo-kit train --nproc N`, on several torchrun (docs/scaling.md)"
        )
    from grpo_kit.run.ray import Layout, launch_on_ray
    from grpo_kit.run.request import TrainRequest, read_resume

    layout = Layout(nodes, nproc, gpus, max_restarts)
    request = TrainRequest(recipe, tuple(overrides or ()), run_dir, read_resume(resume))
    launch_on_ray(request, layout, address)


@app.command(epilog=examples("grpo-kit doctor", "grpo-kit doctor --stress"))
def doctor(
    stress: Annotated[bool, typer.Option("--stress", help="Kill, stop and starve tiny runs for two minutes.")] = False,
) -> None:
    """Show versions, hardware, and which engines and sandboxes work here, with a fix for each that does not."""
    from grpo_kit.cli.doctor import show_doctor, show_stress

    if stress:
        show_stress()
    else:
        show_doctor()


@recipes_app.command("ls", epilog=examples("grpo-kit recipes ls"))
def recipes_ls() -> None:
    """List the shipped recipes with their first sentence."""
    from grpo_kit.config.source import first_sentence, shipped_recipes
    from grpo_kit.observe.tables import Column, show_table
    from grpo_kit.observe.terminal import open_console

    rows = [(name, first_sentence(name)) for name in shipped_recipes()]
    show_table(open_console(), [Column("name"), Column("what", words=True)], rows, framed=False, heading=False)


@recipes_app.command("show", epilog=examples("grpo-kit recipes show quickstart/addition"))
def recipes_show(name: str) -> None:
    """Print a recipe."""
    from grpo_kit.config.source import find_recipe

    typer.echo(find_recipe(name).read_text(encoding="utf-8"), nl=False)


@recipes_app.command("cp", epilog=examples("grpo-kit recipes cp quickstart/addition mine.yaml"))
def recipes_cp(name: str, target: Path) -> None:
    """Copy a recipe to a file of your own."""
    from grpo_kit.config.source import find_recipe

    source = find_recipe(name)
    target = target / source.name if target.is_dir() else target
    if target.exists():
        raise UserError(f"{target} exists; choose another name")
    if not target.parent.is_dir():
        raise UserError(f"the folder {target.parent} does not exist")
    target.write_bytes(source.read_bytes())
    typer.echo(
        f"{target}: edit it, then run `grpo-kit train {target}`. `grpo-kit config resolve {target} --where` prints it with "
        "all that it extends"
    )


@config_app.command("schema", epilog=examples("grpo-kit config schema > recipe.schema.json"))
def config_schema() -> None:
    """Print the JSON schema of a recipe (for editors)."""
    import json

    from grpo_kit.config import Config
    from grpo_kit.config.extends import extendable

    typer.echo(json.dumps(extendable(Config.model_json_schema()), indent=2))


@config_app.command("resolve", epilog=examples("grpo-kit config resolve quickstart/addition train.steps=20"))
def config_resolve(
    recipe: str,
    overrides: Overrides = None,
    where: Annotated[
        bool, typer.Option("--where", help="Note the file and line of every value that is not a default.")
    ] = False,
) -> None:
    """Print a recipe with all that it extends and every default filled in; of a chain, every stage so."""
    import yaml

    from grpo_kit.config import Config
    from grpo_kit.config.read import read_source, validate
    from grpo_kit.config.source import annotated
    from grpo_kit.run.chain import is_chain, resolve_chain

    if is_chain(recipe):
        data, source = resolve_chain(recipe, overrides or [])
    else:
        source = read_source(recipe, overrides or [])
        data = validate(source, Config).model_dump(mode="json")
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    typer.echo(annotated(text, source) if where else text, nl=False)


@config_app.command(
    "explain", epilog=examples("grpo-kit config explain rollout.group_size", "grpo-kit config explain train")
)
def config_explain(
    key: Annotated[str | None, typer.Argument(help="a key or a section of a recipe [the sections]")] = None,
) -> None:
    """Say what a key of a recipe is: one sentence, its type and range, its default, and who reads it."""
    from grpo_kit.cli.explain import show_key

    show_key(key)


app.command("metrics", epilog=examples("grpo-kit metrics clip", "grpo-kit metrics kl/reference"))(metrics)
mount_evaluation(app)


def main() -> None:
    """Run the command line; a user's error is one paragraph and exit code 2, a failed run exit code 1."""
    prepare_process()
    from grpo_kit.runtime import ranks
    from grpo_kit.runtime.interrupt import Interrupted, StoppedAtOnce, Unbreakable

    Process.ours = True
    sys.stdout = Unbreakable()
    try:
        if ranks.launched():
            from torch.distributed.elastic.multiprocessing.errors import record

            # torchrun shows the traceback of the rank that failed first.
            record(app)()
        else:
            app()
    except UserError as error:
        _fail(str(error), EXIT_USAGE)
    except RunFailed as error:
        _fail(str(error), EXIT_FAILED)
    except Interrupted as stop:
        _fail(f"{stop}; continue with --resume", EXIT_INTERRUPTED, "stopped")
    except StoppedAtOnce:
        _fail("at once, without saving; continue from the newest checkpoint with --resume", EXIT_INTERRUPTED, "stopped")
    except OSError as error:
        if error.errno in NO_SPACE:
            _fail(f"{error.filename or 'a file'} could not be written: {error.strerror}. Free some space.", EXIT_FAILED)
        if error.errno in BAD_PATH and error.filename is not None:
            _fail(f"{error.filename!s:.200}: {error.strerror}", EXIT_USAGE)
        raise


def _fail(message: str, code: int, kind: str = "error") -> None:
    from grpo_kit.observe.terminal import line, open_console
    from grpo_kit.runtime import ranks

    who = f"{kind} on rank {ranks.rank()}" if ranks.launched() else kind
    with suppress(OSError):  # standard error may be a terminal that is gone
        line(open_console(stderr=True), f"{who}: {message}")
    sys.exit(code)
