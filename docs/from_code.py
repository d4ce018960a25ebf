"""Pages that MkDocs makes from the code: every key, metric, command, verifier and environment, where each is declared."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HOME = "https://github.com/grpo-kit/grpo-kit/blob/main/"
RAW = "https://raw.githubusercontent.com/grpo-kit/grpo-kit/main/"


def on_files(files: Any, config: Any) -> Any:
    """MkDocs asks for this: the pages that are made, beside those that are written."""
    from mkdocs.structure.files import File

    for name, make in PAGES.items():
        files.append(File.generated(config, name, content=make()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """MkDocs asks for this: links to files of the repository beside docs/ lead to its home."""
    return (
        re.sub(r"\]\(\.\./(?!\.)([^)\s]+)\)", rf"]({HOME}\1)", markdown) if "/" not in page.file.src_uri else markdown
    )


def start_page() -> str:
    """The README, its links into docs/ being links within the site."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.replace(f"{HOME}docs/", "").replace(f"{RAW}docs/", "")


def python_page() -> str:
    """What `grpo_kit` offers to a program, by mkdocstrings."""
    import grpo_kit

    parts = ["# Python\n\nAll of it is imported from `grpo_kit`; [From Python](../api.md) is the guide.\n"]
    first = ["train", "evaluate", "score", "compare", "plan", "load_run", "Recipe", "Run"]
    for name in [*first, *(name for name in grpo_kit.__all__ if name not in first)]:
        parts.append(f"::: grpo_kit.{grpo_kit._PLACES[name]}.{name}\n")
    return "\n".join(parts)


def keys_page() -> str:
    from grpo_kit.config.explain import all_keys

    parts = [
        "# Recipe keys\n\n`grpo-kit config explain KEY` says the same in a terminal. An entry of a list is numbered from 0.\n"
    ]
    keys = all_keys().values()
    for section in (key for key in keys if key.section or "." not in key.name):
        inside = [
            k for k in keys if not k.section and re.sub(r"\.\d+", "", k.name).rpartition(".")[0] == _plain(section.name)
        ]
        if section.section:
            parts.append(f"## {section.name}\n\n{_sentence(section.sentence)}\n")
        rows = inside if section.section else [section]
        if rows:
            body = [
                (f"`{k.name}`", k.sentence, k.kind, f"`{k.default}`" if k.default is not None else "must be given",
                 ", ".join(f"`{reader}`" for reader in k.readers), "yes" if k.safe else "")
                for k in rows
            ]  # fmt: skip
            parts.append(_table(["key", "what", "type", "default", "read by", "may change on resume"], body))
    return "\n".join(parts)


def metrics_page() -> str:
    from grpo_kit.observe.catalogue import CATALOGUE

    rows = [(f"`{m.pattern}`", m.what, m.unit, m.healthy, m.worrying) for m in CATALOGUE]
    head = "# Metrics\n\nOf metrics.jsonl and every sink. `*` stands for a name, such as a verifier's.\n\n"
    return head + _table(["metric", "what", "unit", "well", "worrying"], rows)


def commands_page() -> str:
    import click
    from typer.main import get_command

    from grpo_kit.cli.app import app

    def walk(command: click.Command, words: str) -> Iterator[str]:
        context = click.Context(command, info_name=words, terminal_width=100)
        inner = getattr(command, "commands", {})
        if not inner:
            example = (command.epilog or "").replace("\b", "").strip()
            command.epilog = None
            yield f"## {words}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
            yield f"```bash\n{_examples(example)}\n```\n"
        for name, one in inner.items():
            yield from walk(one, f"{words} {name}")

    return "# Commands\n\n" + "\n".join(walk(get_command(app), "grpo-kit"))


def _examples(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines() if line.strip().startswith("grpo-kit"))


def verifiers_page() -> str:
    from grpo_kit.verifiers.lookup import named_verifier, verifier_names

    parts = ["# Verifiers\n\nWhat ships, by name; [the guide](../verifiers.md) has how to write and test your own.\n"]
    for name in verifier_names():
        found = named_verifier(name)
        if found is not None:
            function = found.source or found.function
            parts.append(f"## {name}\n\n```text\n{inspect.cleandoc(inspect.getdoc(function) or name)}\n```\n")
            parts.append(
                f"Version {found.version}, {found.timeout:g} s a call. `{name}{inspect.signature(function)}`\n"
            )
    return "\n".join(parts)


def environments_page() -> str:
    from grpo_kit.environments.lookup import environment_names, get_part

    guide = "[the guide](../environments.md) has how to write and test your own"
    parts = [f"# Environments and tools\n\nWhat ships, by name; {guide}.\n"]
    for name in environment_names():
        found = get_part(name)
        turns = "" if found.turns is None else f", at most {found.turns} turns"
        parts.append(f"## {name}\n\n```text\n{inspect.cleandoc(found.doc) or name}\n```\n")
        parts.append(f"Version {found.version}, {found.timeout:g} s a reply{turns}.\n")
    return "\n".join(parts)


def _plain(name: str) -> str:
    return re.sub(r"\.\d+", "", name)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _table(header: list[str], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "index.md": start_page,
    "reference/python.md": python_page,
    "reference/keys.md": keys_page,
    "reference/metrics.md": metrics_page,
    "reference/commands.md": commands_page,
    "reference/verifiers.md": verifiers_page,
    "reference/environments.md": environments_page,
}
os.environ.setdefault("NO_COLOR", "1")
