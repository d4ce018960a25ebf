"""Which part of a response is the program.

A response shows more than its program: sample input and output, shell lines, usage, a quoted line, an earlier attempt.
The program is the last block that parses as Python and does what the task asks for: it defines the entry point or, for
tasks of input and output, reads and writes. A signature without a body, an import of what was to be written and a function
that nobody calls come behind every block that does more. The other blocks lend it what it uses and does not define.

Everything is found in a fixed number of passes over the text, whatever it holds; nothing of it is run here.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PYTHON = frozenset({"", "python", "py", "python3", "py3", "python2", "ipython", "ipython3", "pycon", "sage", "code"})
LANGUAGES = PYTHON | {
    *("bash", "sh", "shell", "zsh", "console", "cmd", "powershell", "text", "txt", "plain", "plaintext", "output"),
    *("input", "json", "yaml", "yml", "xml", "html", "css", "js", "javascript", "ts", "typescript", "c", "cpp", "c++"),
    *("cc", "cs", "csharp", "java", "go", "rust", "ruby", "php", "sql", "kotlin", "swift", "scala", "haskell", "r"),
    *(
        "julia",
        "markdown",
        "md",
        "latex",
        "tex",
        "diff",
        "makefile",
        "toml",
        "ini",
        "none",
        "pseudocode",
        "perl",
        "lua",
    ),
}
MAX_PROGRAM = 64_000  # characters: more is not a program that somebody wrote
MAX_BLOCKS = 200  # the last so many blocks are looked at
MAX_EXTENSIONS = (
    8  # how many fences inside a docstring are stepped over, and how many chunks are joined until they parse
)

_FENCE = re.compile(r"(`{3,}|~{3,})")
_LABEL = re.compile(r"[ \t]*(?:\{?code(?:-cell|-block)[ \t]*\}?[ \t]+)?\{?[ \t]*\.?([A-Za-z][\w+#-]{0,20})?")
_DOCUMENTS = frozenset({"markdown", "md"})  # blocks that hold blocks
_MARKERS = re.compile(
    r"\[/?(?:BEGIN|DONE|END|PYTHON|CODE|SOLUTION)\]|</?(?:answer|code|python|pre|solution)>|<\|[a-z_]{1,20}\|>",
    re.IGNORECASE,
)
_QUOTES = re.compile(r'"""|\'\'\'')


@dataclass(frozen=True)
class Wanted:
    """What makes a block the program.

    Attributes:
        names: one of these is defined at its top level (of ``Solution.add`` either part).
        reads: it reads standard input and writes: a task of input and output.
        continues: it may be the body of a function whose header the task gives.
    """

    names: frozenset[str] = frozenset()
    reads: bool = False
    continues: bool = False


def wanted(entry_points: Iterable[str] = (), kind: str = "assert", header: str = "") -> Wanted:
    names = {part for name in entry_points for part in name.split(".")}
    return Wanted(frozenset(names), kind == "stdio", bool(header))


def find_program(response: str, want: Wanted | None = None) -> str | None:
    """The program in a response, or None if there is none.

    What stands before a closing ``</think>`` is thought, not answer. A block that never closes (a response that was cut
    off) counts as far as it goes; blocks marked as another language do not count.
    """
    want = want or Wanted()
    answer = response.rpartition("</think>")[2]
    blocks, outside, fenced = fenced_blocks(answer)
    python = [_dedented(text) for label, text in blocks if label in PYTHON and text.strip()]
    python = [text for text in python if len(text) <= MAX_PROGRAM]
    chosen = _choose(python, want, [label for label, text in blocks if label in PYTHON and text.strip()])
    if chosen is not None and (_rank(_parsed(chosen), want) > 0 or not _names(want)):
        return chosen
    loose = _unfenced(outside if fenced else answer, want)
    if fenced:
        return loose if loose is not None and _rank(_parsed(loose), want) > 0 else chosen
    return loose if loose is not None else (answer if answer.strip() and not _MARKERS.search(answer) else None)


def _names(want: Wanted) -> bool:
    return bool(want.names) or want.reads


# -- fences ----------------------------------------------------------------------------------------------------------


def fenced_blocks(text: str) -> tuple[list[tuple[str, str]], str, bool]:
    """(label, content) of every fenced block, the text outside of them, and whether there was any fence.

    A fence opens at the start of a line or behind text; it closes at the start of a line, whatever stands behind it, or
    at the end of one. A fence inside a docstring of the block is part of it.
    """
    blocks: list[tuple[str, str]] = []
    outside: list[str] = []
    lines = text.split("\n")
    index, found = 0, False
    while index < len(lines):
        line = lines[index]
        mark = _FENCE.search(line)
        if mark is None:
            outside.append(line)
            index += 1
            continue
        found = True
        before, rest = line[: mark.start()], line[mark.end() :]
        outside.append(before)
        label = _LABEL.match(rest)
        assert label is not None
        same_line = rest.find(mark[1])
        if same_line >= 0:
            inner = rest[:same_line]
            word = (_LABEL.match(inner) or label)[1] or ""
            is_label = word.lower() in LANGUAGES and inner[len(word) : len(word) + 1] in (" ", "")
            blocks.append((word.lower() if is_label else "", inner[len(word) :].strip() if is_label else inner.strip()))
            outside.append(rest[same_line + len(mark[1]) :])
            index += 1
            continue
        prefix = re.match(r"[ \t]*(?:>[ \t]?)*", before)
        content, index = _content(lines, index + 1, mark[1], prefix[0] if prefix and not before.strip(" \t>") else "")
        name = (label[1] or "").lower()
        inside = fenced_blocks(content)[0] if name in _DOCUMENTS and len(mark[1]) > 3 else []
        blocks += inside or [(name, content)]
    return blocks[-MAX_BLOCKS:], "\n".join(outside), found


def _content(lines: Sequence[str], start: int, fence: str, prefix: str) -> tuple[str, int]:
    """The text from line ``start`` to the fence that closes it, and the line to go on with."""
    kept: list[str] = []
    quoted = ""  # the triple quote that is open
    skipped = 0
    first_end: tuple[int, int] | None = None  # (lines kept, next line) at the first fence that could have closed it
    index = start
    while index < len(lines):
        line = lines[index]
        if ">" in prefix:
            line = re.sub(r"^[ \t]*>[ \t]?", "", line)
        mark = _FENCE.search(line)
        if mark is not None and mark[1].startswith(fence):
            before, rest = line[: mark.start()], line[mark.end() :].strip()
            closes = not before.strip() or re.fullmatch(r"(?:</?\w{1,20}>|[.!,;:)*]|\s)*", rest) is not None
            if closes and quoted and skipped < MAX_EXTENSIONS:
                first_end = first_end or (len(kept), index + 1)
                skipped += 1
            elif closes:
                if before.strip():
                    kept.append(before)
                opens = not before.strip() and bool(rest) and rest.strip("{}. ").lower() in LANGUAGES
                return "\n".join(kept), index if opens else index + 1
        for quote in _QUOTES.findall(line):
            quoted = "" if quote == quoted else quoted or quote
        kept.append(line)
        index += 1
    if first_end is not None:  # the quote was no docstring: nothing closes the block behind it
        return "\n".join(kept[: first_end[0]]), first_end[1]
    return "\n".join(kept), index


def _dedented(text: str) -> str:
    """``text`` without the indentation of a list or a quotation, and without the prompts of an interactive session."""
    text = text.removeprefix("\ufeff")  # a file may begin with it, a text that is compiled may not
    text = textwrap.dedent(
        text.replace("\r\n", "\n").replace("\t", "    ") if "\t" in text[:1] else text.replace("\r\n", "\n")
    )
    if text.lstrip().startswith(">>> "):
        lines = [line for line in text.split("\n") if line.startswith((">>> ", "... ", ">>>", "..."))]
        text = "\n".join(line[4:] for line in lines)
    return text


# -- which block -----------------------------------------------------------------------------------------------------


def _parsed(text: str) -> ast.Module | None:
    if len(text) > MAX_PROGRAM:
        return None
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _choose(blocks: Sequence[str], want: Wanted, labels: Sequence[str]) -> str | None:
    if not blocks:
        return None
    trees = [_parsed(text) for text in blocks]
    best, best_rank = len(blocks) - 1, -1.0
    for index, tree in enumerate(trees):
        rank = _rank(tree, want)
        if rank == 0 and labels[index]:
            rank = 0.5  # between blocks that do not answer, one that says it is Python
        if tree is None and want.continues and labels[index]:
            rank = max(rank, 0.75 if _parsed("def f():\n" + textwrap.indent(blocks[index], "    ")) else rank)
        if tree is not None and not want.continues and rank < 1 and _is_prose(tree):
            rank = -0.5
        if rank >= best_rank:
            best, best_rank = index, rank
    tree = trees[best]
    if tree is None:
        return blocks[best]
    before, behind = ([t for t in part if t is not None] for part in (trees[:best], trees[best + 1 :]))
    return _completed(blocks[best], tree, before, behind)


def _rank(tree: ast.Module | None, want: Wanted) -> float:
    """0 for what is no program; the higher, the more it does of what the task asks for."""
    if tree is None or not tree.body:
        return 0
    if want.names:
        return (2 if _written_out(tree, want.names) else 1.5) if defined(tree) & want.names else 0
    if not want.reads:
        return 1 if defined(tree) else 0
    reads, writes = _reads_and_writes(tree)
    if reads and writes:
        return 3 if _acts(tree) else 2.5
    return 2 if writes and not reads and not _missing(tree) else 1 if reads else 0


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _written_out(tree: ast.Module, names: frozenset[str]) -> bool:
    """Whether one of the names is defined here with a body of its own: no bare signature, no import, no use of itself."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            if node.name in names and not _is_stub(node):
                return True
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            bound = {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)} & names
            read = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)} if node.value else bound
            if bound - read:
                return True
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
            for child in ast.iter_child_nodes(node):
                waiting += child.body if isinstance(child, ast.ExceptHandler) else []
                waiting += [child] if isinstance(child, ast.stmt) else []
            if isinstance(node, ast.Try) and defined(ast.Module([node], [])) & names:
                return True  # an import with another way behind it is somebody's program
    return False


def _is_stub(node: ast.stmt) -> bool:
    """A function or class that only says how it is called: docstring, ``...``, ``pass``, ``raise NotImplementedError``."""
    if isinstance(node, ast.ClassDef):
        methods = [s for s in node.body if isinstance(s, _FUNCTIONS)]
        return bool(methods) and all(map(_is_stub, methods))
    if isinstance(node, ast.Raise):
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    if isinstance(node, _FUNCTIONS):
        return all(map(_is_stub, node.body))
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _acts(tree: ast.Module) -> bool:
    """Whether anything happens when it runs: more than definitions, imports and plain values."""
    quiet = (*_FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom)
    return any(
        isinstance(node, (ast.Call, ast.For, ast.comprehension))
        for statement in tree.body
        if not isinstance(statement, quiet)
        for node in ast.walk(statement)
    )


def defined(tree: ast.Module) -> set[str]:
    """Names bound at the top level, also under ``if`` and ``try``."""
    names: set[str] = set()
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        else:
            inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.stmt, ast.ExceptHandler))]
            for child in inner:
                waiting += child.body if isinstance(child, ast.ExceptHandler) else [child]
            names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names


_READING = frozenset({"input", "raw_input", "stdin", "fileinput"})
_WRITING = frozenset({"print", "stdout", "exit"})


def _reads_and_writes(tree: ast.Module) -> tuple[bool, bool]:
    reads = writes = False
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
            name = node.id if isinstance(node, ast.Name) else node.attr
            reads = reads or name in _READING
            writes = writes or name in _WRITING
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = str(getattr(node.func, "id", None) or getattr(node.func, "attr", ""))
            first = node.args[0].value
            reads = reads or (name in ("open", "read", "fdopen", "mmap", "fstat") and first in (0, "/dev/stdin"))
            writes = writes or (name in ("open", "write", "fdopen") and first in (1, "/dev/stdout"))
    return reads, writes


def _missing(tree: ast.Module) -> set[str]:
    """Names that are read somewhere, bound nowhere and no part of Python."""
    read: set[str] = set()
    bound = set(dir(builtins)) | {"__file__", "__name__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif (isinstance(node, ast.ExceptHandler) and node.name) or (
            isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name
        ):
            bound.add(node.name)
    return read - bound


def _completed(text: str, tree: ast.Module, before: Sequence[ast.Module], behind: Sequence[ast.Module] = ()) -> str:
    """``text`` with the definitions that other blocks give for the names it lacks: earlier ones first, nearest first."""
    missing = _missing(tree)
    values = (*_DEFINITIONS, ast.Assign)
    lent: list[ast.stmt] = []
    for block, kinds in [*((b, values) for b in reversed(before)), *((b, _DEFINITIONS) for b in behind)]:
        if not missing:
            break
        taken: list[ast.stmt] = [s for s in block.body if isinstance(s, kinds)]
        if missing & defined(ast.Module(taken, [])):
            lent = [
                s for s in taken if not isinstance(s, ast.Assign) or not _reads_and_writes(ast.Module([s], []))[0]
            ] + lent
            missing = (missing | _missing(ast.Module(taken, []))) - defined(ast.Module(taken, []))
    if not lent:
        return text
    from grpo_kit.sandbox.wire.source import unparse

    try:
        return f"{unparse(ast.Module(lent, []))}\n\n{text}"
    except RecursionError:
        return text


_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom)


# -- programs without fences -----------------------------------------------------------------------------------------


def _is_prose(tree: ast.Module) -> bool:
    """Whether all that parses is words and numbers: ``Output``, ``5``, ``1 2`` does not even parse."""
    quiet = (ast.Name, ast.Constant, ast.Tuple, ast.Attribute, ast.List)
    return all(
        isinstance(s, ast.AnnAssign) or (isinstance(s, ast.Expr) and isinstance(s.value, quiet)) for s in tree.body
    )


def _unfenced(text: str, want: Wanted) -> str | None:
    """The last stretch of lines that is a program, in a text of prose and code without fences."""
    marked = _MARKERS.search(text) is not None
    tagged = [part.partition("</answer>")[0].strip() for part in text.split("<answer>")[1:]]
    if len(set(tagged)) > 1:
        return None  # two different answers are none
    if not marked and (whole := _parsed(text)) is not None and not _is_prose(whole):
        return _without_words(text, whole)
    text = _MARKERS.sub("\n", text)[-MAX_PROGRAM:].replace("\r\n", "\n")
    whole = _parsed(textwrap.dedent(text).strip("\n"))
    if whole is not None:
        return None if _is_prose(whole) else textwrap.dedent(text).strip("\n")
    runs: list[list[str]] = [[]]
    chunks = _chunks(text)
    index = 0
    while index < len(chunks):
        for size in range(1, MAX_EXTENSIONS + 1):
            joined = "\n".join(chunks[index : index + size])
            tree = _parsed(joined)
            if tree is not None or index + size >= len(chunks):
                break
        if tree is not None and (not tree.body or not _is_prose(tree)):
            runs[-1].append(joined)
            index += size
        else:
            if runs[-1]:
                runs.append([])
            index += 1
    candidates = ["\n".join(run).strip("\n") for run in runs if any(part.strip() for part in run)][-MAX_BLOCKS:]
    chosen = _choose(candidates, want, [""] * len(candidates))
    if chosen is None or _rank(_parsed(chosen), want) == 0:
        marked_up = [*_INLINE.findall(text), *(textwrap.dedent(part) for part in _INDENTED.findall(text))]
        other = _choose(marked_up[-MAX_BLOCKS:], want, [""] * len(marked_up[-MAX_BLOCKS:]))
        if other is not None and _rank(_parsed(other), want) > 0:
            return other.strip("\n")
    return chosen


_INLINE = re.compile(r"`([^`\n]{1,500})`")
_INDENTED = re.compile(
    r"(?:^(?: {4}|\t)[^\n]*\n?(?:[ \t]*\n)*)+", re.MULTILINE
)  # markdown's other form of a code block


def _without_words(text: str, tree: ast.Module) -> str:
    """``text`` without the lone words before and behind the program that happen to parse: ``BEGIN``, ``Explanation``."""
    bound = defined(tree) | set(dir(builtins))
    kept = list(tree.body)
    for end in (0, -1):
        while kept and isinstance(word := kept[end], ast.Expr) and isinstance(word.value, ast.Name):
            if word.value.id in bound:
                break
            kept.pop(end)
    if len(kept) == len(tree.body) or not kept:
        return text
    lines = text.split("\n")
    start = 0 if kept[0] is tree.body[0] else _first_line(kept[0])
    return "\n".join(lines[start : kept[-1].end_lineno])


def _first_line(node: ast.stmt) -> int:
    """The line, from 0, where a statement begins, with its decorators."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1


_CONTINUES = re.compile(r"(?:else|elif|except|finally|case)\b|[)\]}]")


def _chunks(text: str) -> list[str]:
    """Lines grouped into statements as far as that can be told by their first column: a line with what is indented."""
    chunks: list[list[str]] = []
    decorated = False
    for line in text.split("\n"):
        goes_on = not line.strip() or line[0] in " \t" or _CONTINUES.match(line) is not None or decorated
        decorated = line.startswith("@")
        if chunks and goes_on:
            chunks[-1].append(line)
        else:
            chunks.append([line])
    return ["\n".join(chunk) for chunk in chunks]
