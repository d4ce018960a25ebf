"""search: BM25 over texts of one's own (Robertson and Zaragoza, 2009), by the package bm25s."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError

from ..base import ToolError
from ..cases import Case
from ..formats import Call
from ..register import environment
from ..tools import tool

TEXT_COLUMNS = ("text", "contents", "content", "passage", "body")
FILES = (".txt", ".md", ".rst")
PASSAGE = 1000  # characters of a file's passage at most, which ends with a paragraph where one ends
LONGEST_QUERY = 2000


@dataclass(frozen=True)
class Passage:
    title: str
    text: str


def cases() -> list[Case]:
    asked = Call("search", {"query": "Which church is the tallest of the world?"})
    return [
        Case(
            [asked, "The minster of <answer>Ulm</answer>."],
            replies=["[1] Ulm\nUlm lies on the Danube."],
            prompt="In which town is the tallest church of the world?",
            options={"path": str(Path(__file__).with_name("places.jsonl")), "results": 2},
        )
    ]


@environment(name="search", timeout=30.0, turns=6, cases=cases)
class Search:
    """The tool ``search`` finds the passages of your own texts that fit a query best (BM25).

    Options: ``path``, a JSONL file (``text`` or ``contents``, and ``title`` if there is one) or a folder of .txt, .md and .rst
    files, which are cut into passages; ``results`` of a query; ``characters`` of a passage that are told. The index is made once
    per process. It needs the package bm25s: pip install "grpo-kit[search]".
    """

    def __init__(self, path: str, results: int = 3, characters: int = 1000) -> None:
        self.index, self.results, self.characters = index_of(Path(path)), results, characters

    @staticmethod
    def check(path: str, **_: Any) -> None:
        """Before a run starts: the package is there, and the texts are."""
        _bm25s()
        if not next((file for file, *_ in files_of(Path(path))), None):
            raise no_texts(path)

    @tool(timeout=30.0)
    def search(self, query: str) -> str:
        """Search the texts. Returns the passages that fit best, the best one first.

        Args:
            query: words to look for
        """
        if not query.strip():
            raise ToolError("The query is empty.")
        found = self.index.best(query[:LONGEST_QUERY], self.results)
        if not found:
            return "Nothing was found."
        return "\n\n".join(f"[{n}] {one.title}\n{one.text[: self.characters]}" for n, one in enumerate(found, 1))


class Index:
    """Passages by what they are about."""

    def __init__(self, passages: list[Passage]) -> None:
        self._bm25s = _bm25s()
        self.passages = passages
        self._retriever = self._bm25s.BM25(backend="numpy")
        texts = [f"{passage.title}\n{passage.text}" for passage in passages]
        tokens = self._bm25s.tokenize(texts, stopwords="en", show_progress=False)
        self._retriever.index(tokens, show_progress=False)

    def best(self, query: str, count: int) -> list[Passage]:
        """At most ``count``, the best first; those that share no word with the query are not found."""
        tokens = self._bm25s.tokenize([query], stopwords="en", return_ids=False, show_progress=False)
        known = [[word for word in tokens[0] if word in self._retriever.vocab_dict]]
        if not known[0]:
            return []
        numbers, scores = self._retriever.retrieve(known, k=min(count, len(self.passages)), show_progress=False)
        return [self.passages[int(n)] for n, score in zip(numbers[0], scores[0], strict=True) if score > 0]


def _bm25s() -> Any:
    try:
        import bm25s
    except ImportError as error:
        raise UserError('the environment search needs the package bm25s: pip install "grpo-kit[search]"') from error
    return bm25s


def files_of(path: Path) -> list[tuple[str, int, int]]:
    """The files of texts under a path, with what changes when they do. Raises UserError where nothing is there."""
    if not path.exists():
        raise UserError(f"environment.options.path: {path} does not exist (looked in {Path.cwd()})")
    files = sorted(p for p in path.rglob("*") if p.suffix in FILES and p.is_file()) if path.is_dir() else [path]
    return [(str(file.resolve()), file.stat().st_mtime_ns, file.stat().st_size) for file in files]


def no_texts(path: str) -> UserError:
    return UserError(
        f"environment.options.path: {path} holds no texts; it is a JSONL file, or a folder of {', '.join(FILES)}"
    )


def index_of(path: Path) -> Index:
    """The index of a file or a folder, made once per process and again when something in it changes.

    Raises:
        UserError: there are no texts.
    """
    return _index(str(path), tuple(files_of(path)))


@functools.lru_cache(maxsize=4)
def _index(path: str, stamps: tuple[tuple[str, int, int], ...]) -> Index:
    passages = [passage for file, *_ in stamps for passage in read_passages(Path(file))]
    if not passages:
        raise no_texts(path)
    return Index(passages)


def read_passages(file: Path) -> Iterator[Passage]:
    """The passages of a file. Raises UserError for a row without text, by its number."""
    if file.suffix in FILES:
        yield from cut(file.stem, file.read_text(encoding="utf-8", errors="replace"))
        return
    with file.open(encoding="utf-8") as rows:
        for number, line in enumerate(rows, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{file}:{number}: not JSON: {error}") from error
            text = next((row[c] for c in TEXT_COLUMNS if isinstance(row, dict) and isinstance(row.get(c), str)), None)
            if text is None:
                raise UserError(f"{file}:{number}: a row has its text under one of {', '.join(TEXT_COLUMNS)}")
            yield Passage(str(row.get("title", "")), text)


def cut(title: str, text: str) -> Iterator[Passage]:
    """A text in passages of whole paragraphs; a paragraph that is too long is cut."""
    held = ""
    for paragraph in text.split("\n\n"):
        if held and len(held) + len(paragraph) > PASSAGE:
            yield Passage(title, held.strip())
            held = ""
        held += paragraph + "\n\n"
        while len(held) > 2 * PASSAGE:
            yield Passage(title, held[:PASSAGE].strip())
            held = held[PASSAGE:]
    if held.strip():
        yield Passage(title, held.strip())
