"""Rewards, tools and the environment of a script as a recipe names them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError

from .columns import read_by
from .functions import Place, extracted, place_of, top_level, trains_when_imported
from .imported import Imported
from .script import Asked
from .together import CannotCarry

# What TRL's command line calls its own rewards, and what is nearest to each here.
SHIPPED_REWARDS: dict[str, tuple[str, dict[str, Any]]] = {
    "accuracy_reward": ("math", {}),
    "reasoning_accuracy_reward": ("math", {}),
    "think_format_reward": ("format", {"shape": "think"}),
}
JUDGES_OF_TRL = ("accuracy_reward", "reasoning_accuracy_reward")  # they read the gold answer from a column `solution`


class Scores:
    """Writes verifiers, tools and environment into a recipe; the functions that need a file of their own, too."""

    def __init__(self, asked: Asked, made: Imported, out: Path, overridden: set[str], values: dict[str, Any]) -> None:
        self.asked, self.made, self.out, self.overridden, self.values = asked, made, out, overridden, values

    def write(self) -> None:
        """Verifiers, tools and environment, by path."""
        if self.asked.method != "grpo":
            self.made.recipe["verifiers"] = [
                {"name": "math"}
            ]  # a recipe has one; nothing is sampled, so it judges nothing
            return
        rewards = [(said, *self._reward(node)) for node in self.asked.rewards for said in [self._said(node)]]
        tools = [(self._said(node), self._place(node)) for node in self.asked.tools]
        environment = None
        if self.asked.environment is not None:
            environment = (self._said(self.asked.environment), self._place(self.asked.environment))
        places = (
            [place for _, place, _ in rewards]
            + [place for _, place in tools]
            + ([environment[1]] if environment else [])
        )
        home = self._home([place.local for place in places if place.local])
        weights = self.values["reward_weights"] or [1.0] * len(rewards)
        if len(weights) != len(rewards):
            raise CannotCarry(f"reward_weights has {len(weights)} numbers for {len(rewards)} reward functions")
        verifiers = []
        for (said, place, options), weight in zip(rewards, weights, strict=True):
            name = place.reference or (home and f"{home}:{place.local}")
            if place.why_not or not name:
                self.made.lost.append((f"reward {said}", place.why_not or "its script cannot be imported"))
                continue
            verifiers.append({"name": name, "weight": float(weight), **({"options": options} if options else {})})
            self.made.carried.append((f"reward {said}", f"verifiers: {name}, weight {float(weight):g}"))
        if not verifiers and environment is None and "verifiers" not in self.overridden:
            why = f": {self.made.lost[-1][0]}: {self.made.lost[-1][1]}" if rewards else ""
            raise UserError(
                f"{self.asked.file}: no reward could be carried over{why}. Say verifiers=[{{name: f.py:function}}]"
            )
        if verifiers:
            self.made.recipe["verifiers"] = verifiers
        if tools or environment:
            self._environment(tools, environment, home)

    def _environment(self, tools: list[tuple[str, Place]], environment: tuple[str, Place] | None, home: str) -> None:
        for said, place in [*tools, *([environment] if environment else [])]:
            if place.why_not:
                self.made.lost.append((f"tool {said}", place.why_not))
        found = [place.reference or f"{home}:{place.local}" for _, place in tools if not place.why_not]
        if environment is not None and not environment[1].why_not:
            self.made.set("environment.name", environment[1].reference or f"{home}:{environment[1].local}")
            self.made.carried.append((f"environment {environment[0]}", "environment.name"))
        elif found:
            self.made.set("environment.tools", found)
            self.made.carried.append((f"tools {', '.join(said for said, _ in tools)}", "environment.tools"))
        turns = self.values["max_tool_calling_iterations"]
        if turns is not None and "environment" in self.made.recipe:
            self.made.set("environment.turns", int(turns) + 1)
            self.made.carried.append((f"max_tool_calling_iterations {turns}", f"environment.turns: {int(turns) + 1}"))

    def _said(self, node: Any) -> str:
        if isinstance(node, Place):
            return node.reference
        return " ".join(ast.unparse(node).split())[:60] if isinstance(node, ast.AST) else f"{node}"[:60]

    def _place(self, node: Any) -> Place:
        if isinstance(node, Place):  # a running script hands over the function itself
            return node
        assert self.asked.tree is not None
        assert self.asked.names is not None
        return place_of(node, self.asked.file, self.asked.tree, self.asked.names)

    def _reward(self, node: Any) -> tuple[Place, dict[str, Any]]:
        """Where a reward is, and its options."""
        if isinstance(node, dict):
            return Place(reference="reward_model"), {"model": node["reward_model"]}
        if isinstance(node, str):
            module, _, name = node.rpartition(".")
            if module.partition(".")[0] in ("", "trl") and name in SHIPPED_REWARDS:
                return Place(reference=SHIPPED_REWARDS[name][0]), SHIPPED_REWARDS[name][1]
            return (
                Place(reference=f"{module}:{name}") if module else Place(why_not="the mapping knows no such reward")
            ), {}
        value = None if self.asked.names is None else self.asked.names.value(node)
        if isinstance(value, str):
            return Place(reference="reward_model"), {"model": value}
        place = self._place(node)
        module, _, name = place.reference.partition(":")
        if module.partition(".")[0] == "trl":
            if name not in SHIPPED_REWARDS:
                return Place(
                    why_not=f"{name} is TRL's own; write the check in a file of yours, or take a shipped one"
                ), {}
            return Place(reference=SHIPPED_REWARDS[name][0]), SHIPPED_REWARDS[name][1]
        return place, {}

    def _home(self, wanted: list[str]) -> str:
        """The file that functions of the script are named in: itself, or one of them alone beside the recipe."""
        if not wanted or self.asked.tree is None:
            return ""
        if not trains_when_imported(self.asked.tree):
            return self.asked.file.as_posix()
        text, why_not = extracted(wanted, self.asked.text, self.asked.tree)
        if why_not:
            raise UserError(
                f"{self.asked.file}: its functions {', '.join(wanted)} cannot be named in the script, which trains when it is "
                f"imported, nor be written into a file: {why_not}. Move them into a file, and import them from it"
            )
        home = self.out.with_name(f"{self.out.stem}_functions.py")
        self.made.functions = (
            f'"""{", ".join(wanted)} of {self.asked.file.name}, and what they use: the script trains when it is imported."""'
            f"\n\n{text}"
        )
        return home.as_posix()


def columns_read(asked: Asked) -> list[str]:
    """Columns of the data that the rewards ask for by name: those at the top of the script itself, and TRL's own."""
    known = top_level(asked.tree) if asked.tree is not None else {}
    nodes = [
        asked.names.resolve(node) if asked.names and isinstance(node, ast.expr) else node for node in asked.rewards
    ]
    own = [known[node.id] for node in nodes if isinstance(node, ast.Name) and node.id in known]
    names = [asked.names.full_name(node) if asked.names and isinstance(node, ast.expr) else node for node in nodes]
    of_trl = ["solution" for name in names if isinstance(name, str) and name.rpartition(".")[2] in JUDGES_OF_TRL]
    return read_by(own) + of_trl
