"""The code cells of a notebook, and what in them is Python.

A notebook is read as plain JSON, not through nbformat: that needs no dependency, starts at once, takes
formats 3 and 4 alike, and refuses no notebook for a detail of its outputs that nobody grades.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from grader.errors import UnusableSubmission
from grader.notebook.syntax import CODE_LIMIT

__all__ = ["code_cells", "in_strings", "refuse_too_much", "split_magic", "too_much_code", "without_magics"]

_MAX_CONTAINERS = 2_000_000
_MAX_CELLS = 5_000

_PYTHON_MAGICS = frozenset({"capture", "debug", "memit", "prun", "snakeviz", "time", "timeit", "wandb"})
"""Cell magics whose body is Python like that of any other cell."""
_MAGIC_LINE = re.compile(r"[%!?]|[\w.*]+(?:\[-?\d+\][\w.]*)*\?{1,2}\s*$|[\w\s,.]+=\s*[%!](?!=)")
_TRIPLE = ('"""', "'''")
_QUOTE_OR_BRACKET = re.compile(r"""\\.|\"""|\'''|["'#()\[\]{}]""")


def code_cells(notebook: bytes, name: str) -> list[str]:
    """The sources of the code cells, with plain line feeds.

    Raises UnusableSubmission where the bytes are not a notebook, or hold more than anybody writes by hand.
    """
    advice = "save it again in Jupyter and hand in that file"
    if notebook.count(b"[") + notebook.count(b"{") > _MAX_CONTAINERS:
        raise UnusableSubmission(f"{name} is too large a notebook: clear its outputs and {advice}.")
    try:
        data = json.loads(notebook)
    except (ValueError, RecursionError):
        raise UnusableSubmission(f"{name} is not a notebook, its content is not valid JSON: {advice}.") from None
    cells = _cells(data)
    if cells is None:
        raise UnusableSubmission(f"{name} is not a notebook, it has no list of cells: {advice}.")
    sources = [_source(cell) for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    refuse_too_much(sources, name)
    return sources


def refuse_too_much(sources: Sequence[str], name: str) -> None:
    """Raise UnusableSubmission for cells over the limits."""
    if len(sources) > _MAX_CELLS or sum(map(len, sources)) > CODE_LIMIT:
        raise too_much_code(name)


def too_much_code(name: str) -> UnusableSubmission:
    """What is raised for a notebook over the limits."""
    return UnusableSubmission(
        f"{name} holds more code than can be read (1 MiB, {_MAX_CELLS:,} cells): hand in only your solution."
    )


def _cells(data: object) -> list[object] | None:
    if not isinstance(data, dict):
        return None
    if isinstance(data.get("cells"), list):
        return list(data["cells"])
    if not isinstance(data.get("worksheets"), list):  # format 3 kept its cells in worksheets
        return None
    sheets = [sheet.get("cells") for sheet in data["worksheets"] if isinstance(sheet, dict)]
    return [cell for cells in sheets if isinstance(cells, list) for cell in cells]


def _source(cell: dict[str, object]) -> str:
    lines = cell.get("source", cell.get("input", ""))
    text = "".join(line for line in lines if isinstance(line, str)) if isinstance(lines, list | str) else ""
    # JSON may escape half a surrogate pair, which no file can hold.
    return text.encode(errors="replace").decode().replace("\r\n", "\n").replace("\r", "\n")


def split_magic(source: str) -> tuple[str, str]:
    """The cell magic that decides about the cell ('' for none) and its body, lines in their places."""
    lines = source.split("\n")
    for i, line in enumerate(lines):
        words = line[2:].split()
        if line.startswith("%%") and words and words[0] not in _PYTHON_MAGICS:
            return line[2:].strip(), "\n".join(lines[i + 1 :])
        if line.startswith("%%"):
            lines[i] = ""
        elif line.strip():
            break
    return "", "\n".join(lines)


def without_magics(source: str) -> str:
    """The cell without magics, shell lines and help requests; every other line keeps its number."""
    lines: list[str] = []
    depth, quote, continued, in_magic = 0, "", False, False
    for line in source.split("\n"):
        text = line.lstrip()
        if in_magic:
            lines.append("")
            in_magic = line.endswith("\\")
        elif not (depth or quote or continued) and _MAGIC_LINE.match(text):
            lines.append(line[: len(line) - len(text)] + "pass")
            in_magic = line.endswith("\\")
        else:
            lines.append(line)
            depth, quote, comment = _scan(line, depth, quote)
            continued = line.endswith("\\") and not comment
            quote = quote if continued or quote in _TRIPLE else ""
    return "\n".join(lines)


def in_strings(lines: Iterable[str]) -> Iterator[bool]:
    """Whether each line starts inside of a string in three quotes."""
    quote = ""
    for line in lines:
        yield bool(quote)
        _, quote, _ = _scan(line, 0, quote)
        quote = quote if quote in _TRIPLE else ""


def _scan(line: str, depth: int, quote: str) -> tuple[int, str, bool]:
    """How many brackets are open after a line, the quotes of the string that is ('' for none), and whether it ends
    in a comment.
    """
    for token in _QUOTE_OR_BRACKET.findall(line):
        if quote:
            if token in (quote, quote * 3):
                quote = ""
        elif token[0] in "\"'":
            quote = token
        elif token == "#":
            return depth, quote, True
        elif token in "([{":
            depth += 1
        elif token in ")]}":
            depth = max(depth - 1, 0)
    return depth, quote, False
