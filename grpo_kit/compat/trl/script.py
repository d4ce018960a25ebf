"""A training script of TRL, read by its syntax tree: the trainer that it makes, and what that is given."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError

from .fields import CONFIGS, TRAINERS
from .names import Names, Unread

MAX_SCRIPT = 1 << 20  # characters
MAX_BITS = 10_000  # of an integer


@dataclass
class Rows:
    """Where the rows come from, and what the script makes of them.

    Attributes:
        changed: what is done to them that a recipe cannot say, in the script's words.
        mapped: the function that rows are mapped by, where there is exactly one.
        shuffled: whether they are before the first of them are taken.
    """

    path: str | None = None
    subset: str | None = None
    split: str = "train"
    limit: int | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    mapped: ast.expr | None = None
    shuffled: bool = False


@dataclass
class Asked:
    """What a script or a configuration asks of TRL.

    Attributes:
        settings: fields of the configuration that it gives.
        loaded: what ``from_pretrained`` is given for the model beside its name.
        others: arguments of the trainer beside those that stand here.
        rewards, tools: expressions of a script, names of a configuration, or where a function is that a running script has.
    """

    method: str
    file: Path
    settings: dict[str, Any]
    model: Any = None
    reference: Any = None
    data: Rows = field(default_factory=Rows)
    lora: dict[str, Any] | None = None
    rewards: list[Any] = field(default_factory=list)
    tools: list[Any] = field(default_factory=list)
    environment: Any = None
    others: list[str] = field(default_factory=list)
    tree: ast.Module | None = None
    names: Names | None = None
    text: str = ""
    evaluates: bool = False
    loaded: dict[str, Any] = field(default_factory=dict)


def read_script(path: Path) -> Asked:
    """What a script asks of TRL. It is parsed, and never executed.

    Raises:
        UserError: it is no Python, or makes not exactly one of TRL's trainers.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UserError(f"{path} cannot be read: {reason}") from error
    if len(text) > MAX_SCRIPT:
        raise UserError(f"{path}: more than {MAX_SCRIPT} characters are no training script")
    try:
        tree = ast.parse(text)
        names = Names(tree)
    except (SyntaxError, ValueError, MemoryError) as error:
        raise UserError(f"{path}:{getattr(error, 'lineno', None) or 1}: it is no Python: {error}") from error
    except RecursionError:
        raise UserError(f"{path}: it is nested too deep for a training script") from None
    for node in ast.walk(tree):  # Python writes no such number, and so says nothing of what it is in
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value.bit_length() > MAX_BITS:
            raise UserError(
                f"{path}:{node.lineno}: an integer of more than {MAX_BITS} bits has no place in a training script"
            )
    call, method, order = _the_trainer(path, tree, names)
    given = _arguments(call, order, names)
    asked = Asked(method, path, _settings(path, given.pop("args", None), method, tree, names), tree=tree, names=names)
    asked.text = text
    asked.model, asked.loaded = _model(given.pop("model", None), names)
    if "ref_model" in given:
        asked.reference, _ = _model(given.pop("ref_model"), names)
    asked.data = _rows(given.pop("train_dataset", None), names)
    asked.evaluates = given.pop("eval_dataset", None) is not None
    asked.lora = _lora(given.pop("peft_config", None), names)
    asked.rewards = _listed(given.pop("reward_funcs", None), names)
    asked.tools = _listed(given.pop("tools", None), names)
    asked.environment = given.pop("environment_factory", None)
    given.pop("processing_class", None)  # the tokenizer is the model's
    asked.others = [name for name, node in given.items() if names.value(node) is not None]
    return asked


def _short(names: Names, function: ast.expr) -> str:
    return names.full_name(function).rpartition(".")[2]


def _the_trainer(path: Path, tree: ast.Module, names: Names) -> tuple[ast.Call, str, tuple[str, ...]]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _short(names, node.func) in TRAINERS]
    if not calls:
        raise UserError(
            f"{path}: it makes none of TRL's trainers that can be imported ({', '.join(TRAINERS)}); a subclass is code of its own"
        )
    if len(calls) > 1:
        lines = ", ".join(str(call.lineno) for call in calls)
        raise UserError(
            f"{path}: it makes {len(calls)} trainers (lines {lines}); leave one of them in a copy, and import that"
        )
    method, order = TRAINERS[_short(names, calls[0].func)]
    return calls[0], method, order


def _arguments(call: ast.Call, order: tuple[str, ...], names: Names) -> dict[str, ast.expr]:
    given = dict(zip(order, call.args, strict=False))
    for keyword in call.keywords:
        if keyword.arg is not None:
            given[keyword.arg] = keyword.value
            continue
        whole = names.resolve(keyword.value)
        if isinstance(whole, ast.Call) and names.full_name(whole.func) == "dict" and not whole.args:
            given |= _arguments(whole, (), names)
        elif isinstance(whole, ast.Dict):
            for key, value in zip(whole.keys, whole.values, strict=True):
                if isinstance(key, ast.Constant):
                    given[str(key.value)] = value
        else:
            given[f"**{ast.unparse(keyword.value)}"] = keyword.value
    return given


def _settings(path: Path, node: ast.expr | None, method: str, tree: ast.Module, names: Names) -> dict[str, Any]:
    if node is None:
        return {}
    call = names.resolve(node)
    if not (isinstance(call, ast.Call) and _short(names, call.func) == CONFIGS[method]):
        raise UserError(
            f"{path}:{node.lineno}: the trainer's settings are {Unread(ast.unparse(node)[:60], node.lineno)}, which only running "
            f"the script would tell. Where they come from a YAML file, import that: `grpo-kit import trl config.yaml --method "
            f"{method}`; else write {CONFIGS[method]}(...) with its values into a copy"
        )
    found = {name: names.value(value) for name, value in _arguments(call, ("output_dir",), names).items()}
    if isinstance(node, ast.Name):  # training_args.learning_rate = 1e-5
        for statement in ast.walk(tree):
            if isinstance(statement, ast.Assign) and statement.lineno < node.lineno:
                for target in statement.targets:
                    if isinstance(target, ast.Attribute) and ast.unparse(target.value) == node.id:
                        sure = statement in names.certain
                        said = ast.unparse(statement)[:80]
                        found[target.attr] = names.value(statement.value) if sure else Unread(said, statement.lineno)
    return found


# Where a model lies and in what it is multiplied, which a recipe says elsewhere.
MOVES = {"to", "cuda", "cpu", "float", "half", "bfloat16", "train", "eval"}


def _model(node: ast.expr | None, names: Names) -> tuple[Any, dict[str, Any]]:
    """A model's name or folder, also out of ``from_pretrained``, and what that is given beside it."""
    if node is None:
        return None, {}
    made = names.resolve(node)
    while isinstance(made, ast.Call) and isinstance(made.func, ast.Attribute) and made.func.attr in MOVES:
        made = names.resolve(made.func.value)
    if isinstance(made, ast.Call) and isinstance(made.func, ast.Attribute) and made.func.attr == "from_pretrained":
        given = _arguments(made, ("pretrained_model_name_or_path",), names)
        first = next((given.pop(name) for name in list(given) if "name" in name), None)
        more = {name: names.value(value) for name, value in given.items()}
        return (names.value(first) if first is not None else Unread(ast.unparse(made)[:80], made.lineno)), more
    value = names.value(node)
    return (value if value is None or isinstance(value, str) else Unread(ast.unparse(node)[:80], node.lineno)), {}


def _listed(node: ast.expr | None, names: Names) -> list[ast.expr]:
    if node is None:
        return []
    whole = names.resolve(node)
    return (
        list(whole.elts)
        if isinstance(whole, (ast.List, ast.Tuple))
        else [whole if isinstance(whole, ast.Call) else node]
    )


def _lora(node: ast.expr | None, names: Names) -> dict[str, Any] | None:
    if node is None or names.value(node) is None:
        return None
    call = names.resolve(node)
    if isinstance(call, ast.Call) and _short(names, call.func) == "LoraConfig":
        return {name: names.value(value) for name, value in _arguments(call, (), names).items()}
    return {"": Unread(" ".join(ast.unparse(node).split())[:80], node.lineno)}


# What is done to a data set that changes none of its rows, or only their order: every epoch is shuffled here.
HARMLESS = {"shuffle", "remove_columns", "select_columns", "cast_column", "with_format", "flatten_indices"}


def _rows(node: ast.expr | None, names: Names, depth: int = 0) -> Rows:
    """Where a data set comes from, through what is done to it."""
    if node is None or depth > 30:
        return Rows()
    made = names.resolve(node)
    if isinstance(made, ast.Subscript):
        rows, key = _rows(made.value, names, depth + 1), names.value(made.slice)
        if isinstance(key, str) and rows.path is not None and not rows.changed:
            rows.split = key
        elif not isinstance(key, str):
            rows.changed.append(f"`[{' '.join(ast.unparse(made.slice).split())}]` (line {made.lineno})")
        return rows
    if not isinstance(made, ast.Call):
        return Rows(changed=[str(Unread(" ".join(ast.unparse(made).split())[:60], made.lineno))])
    if _short(names, made.func) == "load_dataset":
        return _loaded(made, names)
    if not isinstance(made.func, ast.Attribute):
        return Rows(changed=[str(Unread(" ".join(ast.unparse(made).split())[:60], made.lineno))])
    if made.func.attr in ("from_json", "from_csv", "from_parquet", "load_from_disk") and made.args:
        path = names.value(made.args[0])
        return Rows(path) if isinstance(path, str) else Rows(changed=[str(path)])
    if made.func.attr.startswith("from_"):  # rows that the script itself makes
        return Rows(changed=[str(Unread(" ".join(ast.unparse(made).split())[:60], made.lineno))])
    return _changed(made, made.func, names, depth)


def _changed(made: ast.Call, function: ast.Attribute, names: Names, depth: int) -> Rows:
    rows = _rows(function.value, names, depth + 1)
    first = names.value(made.args[0]) if made.args else None
    if function.attr in HARMLESS:
        rows.shuffled |= function.attr == "shuffle" and rows.limit is None
        return rows
    if function.attr == "rename_column" and len(made.args) == 2:
        second = names.value(made.args[1])
        if isinstance(first, str) and isinstance(second, str):
            rows.renamed[second] = rows.renamed.pop(first, first)
            return rows
    count = first if function.attr == "take" else _range(made, names) if function.attr == "select" else None
    if isinstance(count, int) and (not rows.changed or rows.mapped is not None):
        rows.limit = count if rows.limit is None else min(count, rows.limit)
        return rows
    if function.attr == "map" and made.args and not rows.changed:
        rows.mapped = made.args[0]
    else:
        rows.mapped = None
    rows.changed.append(f"`.{function.attr}(...)` (line {function.end_lineno})")
    return rows


def _range(made: ast.Call, names: Names) -> Any:
    inner = made.args[0] if made.args else None
    simple = isinstance(inner, ast.Call) and _short(names, inner.func) == "range" and len(inner.args) == 1
    return names.value(inner.args[0]) if simple and isinstance(inner, ast.Call) else None


BUILDERS = ("json", "csv", "parquet")
OTHER_BUILDERS = ("text", "arrow", "pandas", "webdataset", "imagefolder", "audiofolder", "xml")


def _loaded(call: ast.Call, names: Names) -> Rows:
    """``load_dataset``: a name on the hub, or files of a builder."""
    given = {name: names.value(node) for name, node in _arguments(call, ("path", "name"), names).items()}
    said = " ".join(ast.unparse(call).split())[:60]
    unread = [name for name in ("path", "name", "data_files", "split") if isinstance(given.get(name), Unread)]
    files = given.get("data_files")
    if isinstance(files, dict):
        files = files.get("train")
    if isinstance(files, list) and len(files) == 1:
        (files,) = files
    path = files if given.get("path") in BUILDERS else given.get("path")
    if unread or not isinstance(path, str) or path in OTHER_BUILDERS:
        return Rows(changed=[str(Unread(said, call.lineno))])
    rows = Rows(path, given.get("name"), given.get("split") or "train")
    unsaid = [name for name in ("data_files", "data_dir", "revision") if given.get(name) is not None and path != files]
    if unsaid:  # of a name on the hub, these are a part that a recipe cannot name; of a builder, where its files lie
        rows.changed.append(f"`{said}` (line {call.lineno}), whose {' and '.join(unsaid)} a recipe cannot say")
    if "[" in rows.split:
        split, _, part = rows.split.partition("[")
        rows.split = split
        if part.startswith(":") and part[1:-1].isdecimal():
            rows.limit = int(part[1:-1])
        else:
            rows.changed.append(f'split="{split}[{part}"')
    return rows
