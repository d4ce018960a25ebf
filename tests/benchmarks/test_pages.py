"""Tables in the documentation: every benchmark that writes one finds its place, and one that has none says so."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
from pages import put  # noqa: E402


def places():
    for script in sorted((ROOT / "benchmarks").glob("*.py")):
        yield from re.findall(r'put\(PAGE, "(\w+)"', script.read_text(encoding="utf-8"))


def test_every_table_has_its_place():
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    names = list(places())
    assert len(names) >= 4
    for name in names:
        assert pages.count(f"<!-- {name}: begin -->") == pages.count(f"<!-- {name}: end -->") == 1


def test_only_what_stands_between_the_marks_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n")
    put(page, "x", "new")
    assert page.read_text() == "a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb\n"


@pytest.mark.parametrize("text", ["nothing", "<!-- x: begin --> no end", "<!-- x: end -->"])
def test_a_page_without_a_place_is_refused_and_left(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(SystemExit, match="has no place for the table"):
        put(page, "x", "new")
    assert page.read_text() == text
