"""Files completed from a notebook: what they lack, and what that needs, is appended to them."""

from __future__ import annotations

import ast
import contextlib
import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

from grader.notebook.extracting import Extraction
from grader.notebook.importing import absolute, is_present
from grader.notebook.misfits import has_no_body, without_misfits
from grader.notebook.syntax import (
    BROKEN_CODE,
    REMEMBERED,
    Definition,
    Function,
    bound_names,
    changed_class,
    imported_module,
    outer_names,
    parse,
    statements,
    tree_of,
)
from grader.notebook.text import listed, same_text
from grader.notebook.values import Statement, may_fail, within, without_values

__all__ = ["fill", "unfinished"]


@lru_cache(maxsize=REMEMBERED)
def unfinished(own: bytes, template: bytes) -> frozenset[str]:
    """The public functions and classes of a template that a student's file lacks or still holds as stubs.

    Empty for a file that cannot be parsed: its checks will say so.
    """
    try:
        tree = tree_of(own)
    except BROKEN_CODE:
        return frozenset()
    left, bound = _defined(tree) | dict.fromkeys(_assigned(tree), 0), bound_names(tree)
    return frozenset(name for name in _defined(tree_of(template)) if name not in bound or left.get(name))


def fill(
    name: str, own: bytes | None, extraction: Extraction, pristine: Mapping[str, bytes]
) -> tuple[bytes | None, tuple[str, ...]]:
    """The student's file ``name`` completed from a notebook or script, with notes about what was taken.

    ``own`` is None for a missing file. A missing or untouched file becomes what a ``%%writefile`` cell wrote,
    else the template followed by the notebook's definitions. A file that the student wrote only gets the
    public functions and classes that are missing in it or still stubs, and those that the notebook defines after the
    cell that wrote it. A name that is spelled nearly so is taken where the right one is nowhere. ``pristine`` holds
    the template files.
    """
    template = pristine.get(name, b"")
    notes: list[str] = []
    untouched = own is None or same_text(own, template)
    newer: AbstractSet[str] = frozenset()
    if untouched and name in extraction.files:
        own, untouched = absolute(extraction.files[name].encode()), False
        newer = extraction.redefined.get(name, newer)
        notes.append(f"{name} was taken from a %%writefile cell of {extraction.name}.")
    base = template if own is None else own
    if not name.endswith(".py"):
        return own, tuple(notes)
    tasks = _tasks(template)
    stmts, valued = without_values(statements(extraction.code), tasks.keys())
    stmts, misfits = without_misfits(stmts, tasks)
    if newer:
        newer = newer - _misfits(extraction.files[name], stmts, tasks)
    taken = _wanted(stmts, base, template, untouched, newer)
    if not taken:
        return own, tuple(notes)
    defined = set() if untouched else bound_names(parse(base)) - (taken.keys() & taken.values())
    excerpt = _excerpt(stmts, set(taken.values()) - defined, defined, _circular(name, pristine))
    aliases = "".join(f"\n{right} = {written}\n" for right, written in taken.items() if right != written)
    try:
        added = _encode_like(base, f"\n\n# From {listed([extraction.name])}:\n{excerpt}{aliases}")
    except UnicodeError:  # Python has encodings, such as "idna", that are not for programs
        return own, tuple(notes)
    return base.rstrip() + added, (*notes, *_told(name, taken, extraction.name, valued, misfits))


def _misfits(written: str, stmts: Sequence[Statement], tasks: Mapping[str, Definition]) -> set[str]:
    """The functions of a written file that later ones in the notebook cannot take the place of."""
    with contextlib.suppress(*BROKEN_CODE):
        return without_misfits([*statements(written), *stmts], tasks)[1]
    return set()


def _told(
    name: str, taken: Mapping[str, str], source: str, valued: AbstractSet[str], misfits: AbstractSet[str]
) -> Iterator[str]:
    """What was taken from where; that a file gives to itself what it holds is not worth a word."""
    if name != source:
        yield f"In {name}, {listed(taken)} {'was' if len(taken) == 1 else 'were'} taken from {source}."
    if renamed := [f"{written} as {right}" for right, written in taken.items() if right != written]:
        yield f"In {name}, names were taken for the right ones: {listed(renamed)}."
    if kept := sorted(valued & taken.keys()):
        yield f"Values that {source} calls {listed(kept)} were left out: the functions of these names count."
    if kept := sorted(misfits & taken.keys()):
        what = f"the last function that takes the arguments of the assignment was taken for {listed(kept)}"
        yield f"In {name}, {what}: a later one in {source} is for another purpose."


def _wanted(
    stmts: Sequence[Statement], base: bytes, template: bytes, untouched: bool, newer: AbstractSet[str]
) -> dict[str, str]:
    """The definitions among ``stmts`` that ``base`` needs and that are further on than the template's stubs.

    Each with the name that it has there.
    """
    stubs = _defined(parse(template))
    tree = ast.Module([stmt for _, stmt in stmts], [])
    found = _defined(tree) | dict.fromkeys(_assigned(tree) & stubs.keys(), 0)
    needed = stubs.keys() if untouched else unfinished(base, template) | (newer & stubs.keys())
    written = {_folded(name): name for name in found if name not in stubs}
    wanted = {
        right: name
        for right in [*(n for n in found if n in needed), *(n for n in stubs if n in needed and n not in found)]
        if (name := right if right in found else written.get(_folded(right), ""))
        and (not found[name] or found[name] < stubs[right])
    }
    return wanted if any(stubs[right] for right in wanted) else {}


def _folded(name: str) -> str:
    return name.casefold().replace("_", "")


def _defined(tree: ast.Module) -> dict[str, int]:
    """The public functions and classes of a module, each with what is still to be written of it."""
    return {s.name: _stubs(s) for s in tree.body if isinstance(s, Definition) and not s.name.startswith("_")}


def _tasks(template: bytes) -> dict[str, Definition]:
    """The functions and classes of a template that are to be written."""
    tree = tree_of(template)
    left = _defined(tree)
    return {stmt.name: stmt for stmt in tree.body if isinstance(stmt, Definition) and left.get(stmt.name)}


def _assigned(tree: ast.Module) -> set[str]:
    """The names whose last binding at the top level is an assignment: of a lambda, say, or of another function."""
    names: set[str] = set()
    for stmt in tree.body:
        match stmt:
            case ast.Assign() | ast.Try(body=[ast.Assign()]):  # one that may fail is attempted
                names |= bound_names(stmt)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.discard(name)
    return names


def _stubs(definition: Definition) -> int:
    """How many functions or methods of a definition are still to be written."""
    if isinstance(definition, ast.ClassDef):
        return sum(_stubs(stmt) for stmt in definition.body if isinstance(stmt, Function))
    return int(has_no_body(definition))


def _excerpt(
    stmts: Sequence[Statement], wanted: Iterable[str], defined: AbstractSet[str], circular: AbstractSet[str]
) -> str:
    """Those of ``stmts`` that bind or change the wanted names and what those need beyond ``defined``."""
    binders: dict[str, list[int]] = {}
    for i, (_, stmt) in enumerate(stmts):
        for name in bound_names(stmt).union(map(changed_class, within(stmt))):
            binders.setdefault(name, []).append(i)
    chosen = set(binders.get("*", ()))  # nobody can tell what a star import is needed for
    todo, seen = list(wanted), set(defined)
    while todo:
        for i in binders.get(todo.pop(), ()):
            if i not in chosen:
                chosen.add(i)
                new = outer_names(stmts[i][0]) - seen
                seen |= new
                todo.extend(new)
    texts = (_added_text(*stmts[i], circular) for i in sorted(chosen))
    return "\n".join(filter(None, texts)) + "\n"


def _added_text(text: str, stmt: ast.stmt, circular: AbstractSet[str]) -> str:
    if isinstance(stmt, ast.Import | ast.ImportFrom):
        return _import_text(text, stmt, circular)
    if isinstance(stmt, Definition):
        return f"\n\n{text}\n"
    return _attempted(text, stmt) if may_fail(stmt) else text


def _attempted(text: str, stmt: ast.stmt) -> str:
    """A value that what was left out may have been needed for: without it only what uses it fails."""
    if isinstance(stmt, ast.If | ast.Try):
        stmt = ast.Try([stmt], [ast.ExceptHandler(ast.Name("Exception"), None, [ast.Pass()])], [], [])
        return ast.unparse(stmt)
    return f"try:\n    {text}\nexcept Exception:\n    pass"


def _import_text(text: str, stmt: ast.Import | ast.ImportFrom, circular: AbstractSet[str]) -> str:
    """An import that neither leads back to the file nor costs all of it by failing; '' for none."""
    module = imported_module(stmt)
    aliases = [a for a in stmt.names if (module or a.name) not in circular]
    if not aliases or module == "__future__":
        return ""
    if len(aliases) == len(stmt.names) and all(is_present(module or a.name) for a in aliases):
        return text
    safe = ast.ImportFrom(module, aliases, 0) if module else ast.Import(aliases)
    return f"try:\n    {ast.unparse(safe)}\nexcept ImportError:\n    pass"


def _circular(name: str, pristine: Mapping[str, bytes]) -> set[str]:
    """The file's own module and those that import it: they would find it half executed."""
    own = name.removesuffix(".py")
    return {own} | {
        file.removesuffix(".py")
        for file, source in pristine.items()
        if file.endswith(".py") and own in _imported(parse(source))
    }


def _imported(tree: ast.Module) -> set[str]:
    modules = {alias.name for stmt in tree.body if isinstance(stmt, ast.Import) for alias in stmt.names}
    return modules | {stmt.module or "" for stmt in tree.body if isinstance(stmt, ast.ImportFrom)}


def _encode_like(base: bytes, text: str) -> bytes:
    encoding, _ = tokenize.detect_encoding(io.BytesIO(base).readline)
    return text.encode("utf-8" if encoding == "utf-8-sig" else encoding, "backslashreplace")
