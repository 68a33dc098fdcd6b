"""Everything in a notebook, or in a script, that can be taken without running it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from grader.notebook.cells import code_cells, refuse_too_much, split_magic, too_much_code, without_magics
from grader.notebook.scripts import text_cells
from grader.notebook.selecting import Selector
from grader.notebook.syntax import BROKEN_CODE, CODE_LIMIT
from grader.notebook.text import listed

__all__ = ["Extraction", "extract"]

_MAX_NOTES = 4
_FOREIGN_MAGICS = (
    "! R bash bigquery cmd css html HTML javascript js latex markdown perl pypy python python2 python3 ruby script sh "
    "shell sql svg SVG system sx"
)
"""Cell magics whose body is no part of a solution: nobody misses it."""
_SEPARATOR = re.compile(r"""\\(?=[^\s"'])""")
"""A backslash between the folders of Windows; before a blank or a quotation mark it is part of a name."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was found in one notebook or script.

    ``files`` are those that ``%%writefile`` cells write, by file name without folders. ``code`` is the source
    of every import, definition and simple constant in the order of the cells, ``definitions`` names the
    functions and classes in it, each once; ``redefined`` those that come after a ``%%writefile`` cell, by its file;
    ``made`` names what only a call of one of them could make.
    """

    name: str
    files: dict[str, str]
    code: str
    definitions: tuple[str, ...]
    notes: tuple[str, ...]
    redefined: Mapping[str, frozenset[str]] = field(default_factory=dict)
    made: frozenset[str] = frozenset()


def extract(content: bytes, name: str) -> Extraction:
    """Everything that can be taken of a notebook (.ipynb), or of a script or Markdown file, without running it.

    Raises UnusableSubmission where the bytes are not a notebook, or hold more than anybody writes by hand.
    """
    reader = _Reader(name)
    if name.casefold().endswith(".ipynb"):
        for number, source in enumerate(code_cells(content, name), 1):
            reader.read(source, f"Code cell {number} of {name}")
    else:
        cells = text_cells(content, name)
        refuse_too_much([source for _, source in cells], name)
        for first, source in cells:
            reader.read(source, f"The code from line {first} of {name} on", first)
    return reader.extraction()


class _Reader:
    """Reads cell by cell."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._selector = Selector()
        self._files: dict[str, str] = {}
        self._before: dict[str, dict[str, int]] = {}  # how often each name was defined when the file was written
        self._chunks: list[str] = []
        self._skipped: list[str] = []

    def read(self, source: str, place: str, first: int = 1) -> None:
        """Read one cell; ``place`` says in notes where it is, ``first`` counts its lines."""
        try:
            self._chunks.append(self._take(source))
        except BROKEN_CODE as error:
            self._skipped.append(f"{place} was not read: {_complaint(error, first)}.")

    def extraction(self) -> Extraction:
        """What the cells held."""
        name, selector, skipped = self._name, self._selector, self._skipped
        self._chunks.append(selector.take_inner())
        code = "\n\n".join(filter(None, [selector.future, *self._chunks]))
        if len(code) > CODE_LIMIT:
            raise too_much_code(name)
        if len(skipped) > _MAX_NOTES:
            skipped[_MAX_NOTES:] = [f"{len(skipped) - _MAX_NOTES} more code cells of {name} were not read."]
        notes = (*skipped, *(selector.notes(name) if selector.definitions else ()))
        redefined = {
            file: frozenset(n for n, count in selector.definitions.items() if count > before.get(n, 0))
            for file, before in self._before.items()
        }
        return Extraction(
            name, self._files, code, tuple(selector.definitions), notes, redefined, frozenset(selector.made)
        )

    def _take(self, source: str) -> str:
        """The code to keep of one cell, or what it writes put among the files; raises one of BROKEN_CODE."""
        magic, body = split_magic(source)
        kind = magic.split(maxsplit=1)[0] if magic else ""
        if not kind:
            return self._selector.take_cell(without_magics(body))
        if kind in ("writefile", "file"):
            self._write(magic, body)
        elif kind not in _FOREIGN_MAGICS.split():
            raise _UnknownMagic(magic)
        return ""

    def _write(self, magic: str, body: str) -> None:
        magic = _SEPARATOR.sub("/", magic)
        try:
            words = shlex.split(magic)[1:]
        except ValueError:
            words = magic.split()[1:]
        paths = [word for word in words if not word.startswith("-")]
        if paths:
            target = paths[0].rsplit("/", 1)[-1]
            appends = "-a" in words or "--append" in words
            self._files[target] = (self._files.get(target, "") if appends else "") + body.rstrip("\n") + "\n"
            self._before[target] = dict(self._selector.definitions)


class _UnknownMagic(ValueError):
    """A cell magic that may have done anything to the cell."""


def _complaint(error: BaseException, first: int) -> str:
    if isinstance(error, _UnknownMagic):
        return f"it starts with {listed([f'%%{error}'])}"
    if isinstance(error, SyntaxError) and error.lineno:
        text = (error.text or "").strip()
        return (
            f"line {first + error.lineno - 1} is not valid Python ({error.msg}{': ' if text else ''}{listed([text])})"
        )
    return "its code is nested too deeply or holds characters that Python does not accept"
