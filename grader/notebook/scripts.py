"""The cells of a notebook that is kept as text: an exported script, one with marked cells, Markdown of jupytext."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import pairwise

from grader.notebook.cells import in_strings, without_magics
from grader.notebook.syntax import BROKEN_CODE, CODE_LIMIT, parse, parses

__all__ = ["decoded", "has_marks", "in_utf8", "text_cells"]

_MARK = re.compile(r"#\s?%%(?:\s.*)?$|# In\s?\[[ \d*]*\]:?\s*$|# \+(?:\s.*)?$|# -\s*$")
"""The line that starts a cell: of percent scripts, of nbconvert, and of the light format, which also ends cells."""
_COMMENTED_MAGIC = re.compile(r"# ?(%%\w.*)")
_AS_CALL = "get_ipython().run_cell_magic("
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})\s*(?:python[23]?\b|\{(?:code-cell|code|python)\b)")

Cells = list[tuple[int, str]]
"""Each with the line of the file on which it starts."""


def decoded(content: bytes) -> str:
    """A file's text with plain line feeds, whatever editor wrote it."""
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(content).readline)[0]
        text = content.decode(encoding)
    except (SyntaxError, UnicodeError, LookupError):
        text = _decoded_otherwise(content)
    return text.encode(errors="replace").decode().replace("\r\n", "\n").replace("\r", "\n")


def in_utf8(content: bytes) -> bytes:
    """A file that is no Python: as it is if it is in UTF-8, else its text in UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return decoded(content).encode()
    return content


def _decoded_otherwise(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    return content.decode("cp1252", "replace")


def has_marks(text: str) -> bool:
    """Whether a script comes from a notebook, by the marks of its cells."""
    return any(_MARK.match(line) or _COMMENTED_MAGIC.match(line) for line in text.split("\n"))


def text_cells(content: bytes, name: str) -> Cells:
    """The code cells of a script, or of a Markdown file that jupytext wrote (others have none)."""
    text = decoded(content)
    if name.casefold().endswith(".md"):
        return list(_markdown_cells(text)) if _is_notebook(text) else []
    if len(text) > CODE_LIMIT:
        return [(1, text)]  # whoever counts the code refuses it
    return [(first, _restored(cell)) for start, part in _parts(text) for first, cell in _magic_cells(start, part)]


def _parts(text: str) -> Cells:
    """A script cut at the marks of its cells, or, if it has none and is broken, at its paragraphs."""
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if _MARK.match(line)]
    if not starts and not parses(without_magics(text)):
        inside = list(in_strings(lines))
        starts = [
            i for i in range(1, len(lines)) if not inside[i] and lines[i][:1].strip() and not lines[i - 1].strip()
        ]
    bounds = [0, *starts, len(lines)]
    return [(a + 1, "\n".join(lines[a:b])) for a, b in pairwise(bounds) if a < b]


def _magic_cells(start: int, part: str) -> Cells:
    """A part, cut before each cell magic in a comment, which is how scripts keep ``# %%writefile``."""
    lines = part.split("\n")
    magics = [i for i, line in enumerate(lines) if _COMMENTED_MAGIC.match(line)]
    bounds = [0, *magics, len(lines)]
    cells = [(start + a, lines[a:b]) for a, b in pairwise(bounds) if a < b]
    return [piece for first, own in cells for piece in _uncommented(first, own)]


def _uncommented(first: int, lines: list[str]) -> Cells:
    """A cell; if a magic in a comment starts it, with that magic and with the comments that were its body as code."""
    magic = _COMMENTED_MAGIC.match(lines[0])
    if not magic:
        return [(first, "\n".join(lines))]
    end = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    body, rest = [re.sub("^# ?", "", line) for line in lines[1:end]], lines[end:]
    if not body:  # the body was left as it is
        return [(first, "\n".join([magic[1], *rest]))]
    return [(first, "\n".join([magic[1], *body])), (first + end, "\n".join(rest))]


def _restored(cell: str) -> str:
    """A cell that nbconvert wrote as a call of IPython, with its magic again."""
    if _AS_CALL not in cell:
        return cell
    try:
        match parse(cell).body:
            case [ast.Expr(value=ast.Call(args=[ast.Constant(str(magic)), ast.Constant(str(line)), body]))]:
                return f"%%{magic} {line}\n{ast.literal_eval(body)}"
    except BROKEN_CODE:
        pass
    return cell


def _is_notebook(text: str) -> bool:
    """Whether a Markdown file starts with what jupytext writes about the notebook that it is."""
    front, fence, _ = text[:10_000].partition("\n---\n")
    keys = {line.strip() for line in front.split("\n")}
    return bool(fence) and front.startswith("---\n") and not keys.isdisjoint({"jupytext:", "kernelspec:"})


def _markdown_cells(text: str) -> Iterator[tuple[int, str]]:
    lines = text.split("\n")
    start, fence = 0, ""
    for i, line in enumerate(lines):
        if not fence and (opened := _FENCE.match(line)):
            start, fence = i + 1, opened[1]
        elif fence and line.strip() == fence:
            options = (re.sub(r"^:\w.*", "", line) for line in lines[start:i])  # of MyST: ":tags: [...]"
            yield start + 1, "\n".join(options)
            fence = ""
