"""Everything in a notebook that can be taken without running it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from grader.notebook.cells import code_cells, split_magic, too_much_code, without_magics
from grader.notebook.selecting import Selector
from grader.notebook.syntax import BROKEN_CODE, CODE_LIMIT
from grader.notebook.text import listed

__all__ = ["Extraction", "extract"]

_MAX_NOTES = 4
_FOREIGN_MAGICS = "! bash cmd html HTML javascript js latex markdown perl python python2 python3 ruby script sh svg SVG"
"""Cell magics whose body is no part of a solution: nobody misses it."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was found in one notebook.

    ``files`` are those that ``%%writefile`` cells write, by file name without folders. ``code`` is the source
    of every import, definition and simple constant in the order of the cells, ``definitions`` names the
    functions and classes in it, each once.
    """

    name: str
    files: dict[str, str]
    code: str
    definitions: tuple[str, ...]
    notes: tuple[str, ...]


def extract(notebook: bytes, name: str) -> Extraction:
    """Everything in the notebook that can be taken without running it.

    Raises UnusableSubmission where the bytes are not a notebook, or hold more than anybody writes by hand.
    """
    files: dict[str, str] = {}
    selector = Selector()
    chunks: list[str] = []
    skipped: list[str] = []
    for number, source in enumerate(code_cells(notebook, name), 1):
        try:
            chunks.append(_take(source, files, selector))
        except BROKEN_CODE as error:
            skipped.append(f"Code cell {number} of {name} was not read: {_complaint(error)}.")
    code = "\n\n".join(filter(None, [selector.future, *chunks]))
    if len(code) > CODE_LIMIT:
        raise too_much_code(name)
    if len(skipped) > _MAX_NOTES:
        skipped[_MAX_NOTES:] = [f"{len(skipped) - _MAX_NOTES} more code cells of {name} were not read."]
    notes = (*skipped, *(selector.notes(name) if selector.definitions else ()))
    return Extraction(name, files, code, tuple(selector.definitions), notes)


class _UnknownMagic(ValueError):
    """A cell magic that may have done anything to the cell."""


def _take(source: str, files: dict[str, str], selector: Selector) -> str:
    """The code to keep of one cell, or what it writes put into ``files``; raises one of BROKEN_CODE."""
    magic, body = split_magic(source)
    kind = magic.split(maxsplit=1)[0] if magic else ""
    if not kind:
        return selector.take_cell(without_magics(body))
    if kind in ("writefile", "file"):
        _write(files, magic, body)
    elif kind not in _FOREIGN_MAGICS.split():
        raise _UnknownMagic(magic)
    return ""


def _write(files: dict[str, str], magic: str, body: str) -> None:
    try:
        words = shlex.split(magic)[1:]
    except ValueError:
        words = magic.split()[1:]
    paths = [word for word in words if not word.startswith("-")]
    if paths:
        target = paths[0].replace("\\", "/").rsplit("/", 1)[-1]
        appends = "-a" in words or "--append" in words
        files[target] = (files.get(target, "") if appends else "") + body.rstrip("\n") + "\n"


def _complaint(error: BaseException) -> str:
    if isinstance(error, _UnknownMagic):
        return f"it starts with {listed([f'%%{error}'])}"
    if isinstance(error, SyntaxError) and error.lineno:
        text = (error.text or "").strip()
        return f"line {error.lineno} is not valid Python ({error.msg}{': ' if text else ''}{listed([text])})"
    return "its code is nested too deeply or holds characters that Python does not accept"
