"""docs/troubleshooting.md names keys and metrics that there are."""

import re

from grpo_kit.config.explain import find_key
from grpo_kit.observe.catalogue import metric_of
from tests.kit.places import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SYMPTOMS = ("The reward is flat", "The loss is 0", "Out of memory", "It hangs", "vLLM disagrees", "Resume refuses")


def test_every_key_and_metric_of_the_page_is_one():
    named = [word.partition(":")[0] for word in re.findall(r"`([^`\n]+)`", PAGE)]
    keys = [word for word in named if re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+", word) and word != "stuck.txt"]
    metrics = [word for word in named if re.fullmatch(r"[a-z_*]+(/[a-z_0-9*]+)+", word)]
    assert len(set(keys)) > 20
    assert len(set(metrics)) > 12
    for key in keys:
        find_key(key)
    assert [name for name in metrics if metric_of(name.replace("*", "x")) is None] == []


def test_every_symptom_has_its_table_or_its_number():
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
    assert tuple(sections) == SYMPTOMS
    assert all("`" in text for text in sections.values())
