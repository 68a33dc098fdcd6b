"""What is wrong with an entry is said when the catalogue is loaded, with the entry's id."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Set

from grader.catalogue import ANSWERS, Entry, Kind
from grader.errors import CatalogueError

__all__ = ["validate"]

Signatures = Mapping[str, ast.arguments]


def validate(entries: list[Entry], files: Mapping[str, bytes], checks: Set[str], tolerances: Set[str]) -> None:
    """Refuse entries that could not prove anything.

    Args:
        entries: the whole catalogue.
        files: the reference's files by name.
        checks: the names of all checks.
        tolerances: the names of all tolerances.

    Raises:
        CatalogueError: naming the first entry that is wrong, and why.
    """
    known = {name: _signatures(content) for name, content in files.items() if name.endswith(".py")}
    seen: set[str] = set()
    for entry in entries:
        problem = next(_problems(entry, known, checks, tolerances), None)
        if entry.id in seen:
            problem = "another entry has the same id"
        if problem is not None:
            raise CatalogueError(f"catalogue entry {entry.id}: {problem}")
        seen.add(entry.id)


def _problems(entry: Entry, known: Mapping[str, Signatures], checks: Set[str], tolerances: Set[str]) -> Iterator[str]:
    if unknown := sorted((entry.fails | entry.may_fail) - checks):
        yield f"there is no check {unknown[0]!r}"
    if both := sorted(entry.fails & entry.may_fail):
        yield f"{both[0]!r} cannot both have to fail and be free to"
    if unknown := sorted(entry.guards - tolerances):
        yield f"there is no tolerance {unknown[0]!r} in grader/checks/tolerances.py"
    yield from _missing_words(entry)
    if entry.module == ANSWERS:
        if entry.code not in ("true", "false"):
            yield f"the verdict is {entry.code!r}, but must be 'true' or 'false'"
        return
    if entry.file not in known:
        yield f"there is no file {entry.file} in the reference"
        return
    yield from _misfits(entry, known[entry.file])


def _missing_words(entry: Entry) -> Iterator[str]:
    if not entry.explanation:
        yield "its docstring has no explanation (a title, an empty line, what is wrong)"
    if entry.kind is Kind.MISCONCEPTION and not entry.hint:
        yield "its docstring has no paragraph that begins with 'Hint:'"
    if entry.kind is Kind.MISCONCEPTION and (entry.title.endswith(".") or len(entry.title) > 60):
        yield "the first line of its docstring is no title: at most 60 characters, without a full stop"
    if entry.kind is Kind.NEAR_MISS and not entry.guards:
        yield "a near miss names the tolerances that it guards"
    if entry.kind is not Kind.EQUIVALENT and not entry.fails:
        yield "it fails no check, so nothing would notice it"


def _misfits(entry: Entry, signatures: Signatures) -> Iterator[str]:
    """Functions that the module lacks, and parameters that its callers would miss."""
    if not entry.replaces:
        yield f"it replaces no function of {entry.file}"
    replacements = _signatures(entry.code.encode())
    for name in sorted(entry.replaces):
        _, _, function = name.partition(".")
        if function not in signatures:
            yield f"there is no function {function!r} in {entry.file}"
            return
        owner, _, method = function.rpartition(".")
        mine = replacements.get(f"_{method}" if owner else function)
        if mine is not None and (problem := _misfit(mine, signatures[function])):
            yield f"{function!r} {problem}"


def _misfit(mine: ast.arguments, theirs: ast.arguments) -> str | None:
    """Why a function with the parameters ``mine`` cannot stand in for one with ``theirs``."""
    wanted, have = [a.arg for a in theirs.args], [a.arg for a in mine.args]
    if mine.vararg is not None:
        return None
    if have[: len(wanted)] != wanted:
        return f"has the parameters ({', '.join(have)}), but must begin with ({', '.join(wanted)})"
    if len(have) - len(mine.defaults) > len(wanted):
        return f"needs a default for {have[len(wanted)]!r}, which the reference does not have"
    if len(theirs.defaults) > len(mine.defaults) - (len(have) - len(wanted)):
        return "lacks a default that the reference has"
    return None


def _signatures(source: bytes) -> Signatures:
    """The parameters of every function at the top of a module, and of every method, by qualified name."""
    found: dict[str, ast.arguments] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node.args
        elif isinstance(node, ast.ClassDef):
            methods = (child for child in node.body if isinstance(child, ast.FunctionDef))
            found |= {f"{node.name}.{child.name}": child.args for child in methods}
    return found
