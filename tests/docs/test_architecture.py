"""docs/architecture.md names what is there."""

import re
from pathlib import Path

from tests.kit.floors import FLOORS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_path_of_the_page_exists():
    named = {text for text in re.findall(r"`([\w./]+)`", PAGE) if "/" in text}
    assert len(named) > 30
    missing = [text for text in named if not any((root / text).exists() for root in (ROOT, ROOT / "grpo_kit"))]
    assert missing == []


def test_every_room_is_on_the_page_in_its_order():
    rooms = re.findall(r"^\| `(?:grpo_kit/)?(\w+)` \|", PAGE, re.MULTILINE)
    beside = {"verifiers", "sandbox"}
    assert [room for room in reversed(rooms) if room not in beside] == [
        room for room in FLOORS if room not in {"errors", "types", *beside}
    ]
    assert beside <= set(rooms)
