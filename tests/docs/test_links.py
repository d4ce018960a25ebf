"""No link of the documentation leads nowhere."""

import re
from functools import cache

import pytest

from tests.kit.places import ROOT

PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
HOME = re.compile(
    r"https://(?:github\.com/grpo-kit/grpo-kit/(?:blob|tree)|raw\.githubusercontent\.com/grpo-kit/grpo-kit)/main/"
)


def prose(path):
    """The text without its blocks of code, in which brackets are no links."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


@cache
def anchors(path):
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def links(path):
    yield from re.findall(r"\]\(([^)\s]+)\)", prose(path))


def dead(path):
    """The links of a page that lead nowhere in this tree; what is elsewhere on the web is not asked."""
    for link in links(path):
        place, _, anchor = link.partition("#")
        if HOME.match(place):
            target = ROOT / HOME.sub("", place)
        elif re.match(r"[a-z]+:", place):
            continue
        else:
            target = (path.parent / place).resolve() if place else path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_link_is_dead(path):
    assert list(dead(path)) == []


def test_links_are_looked_at(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A page: 2\n[a](#a-page-2) [b](#gone) [c](gone.md) [d](page.md#a-page-2) [e](https://example.com/x)\n"
    )
    home = "https://github.com/grpo-kit/grpo-kit/blob/main/"
    page.write_text(page.read_text() + f"[f]({home}docs/data.md#your-own-file) [g]({home}docs/gone.md)\n`[h](gone)`\n")
    assert list(dead(page)) == ["#gone", "gone.md", f"{home}docs/gone.md"]
    assert sum(len(list(links(path))) for path in PAGES) > 50
