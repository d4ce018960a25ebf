"""docs/api.md says what there is."""

import ast
import re

import grpo_kit
from tests.kit.places import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
OF = {"grpo_kit": grpo_kit, "run": grpo_kit.Run, "evaluation": grpo_kit.Evaluation, "recipe": grpo_kit.Recipe}


def test_what_its_code_names_is_there():
    named = [
        (node.value.id, node.attr)
        for block in BLOCKS
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]
    known = [(owner, name) for owner, name in named if owner in OF]
    assert len(known) > 20
    fields = {name for one in OF.values() for name in getattr(one, "__annotations__", {})}
    attributes = {"path", "stopped"} | fields  # of instances alone
    assert [(o, n) for o, n in known if not hasattr(OF[o], n) and n not in attributes] == []


def test_every_function_is_in_its_table():
    told = set(re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE))
    assert told == {name for name in grpo_kit.__all__ if name[0].islower()}
