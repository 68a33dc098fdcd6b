"""What keeps a student's own file from being imported, and imports that may fail without costing the file."""

from __future__ import annotations

import ast
import codecs
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from itertools import accumulate

from grader.notebook.cells import without_magics
from grader.notebook.scripts import decoded, has_marks
from grader.notebook.syntax import (
    BOUND_TO_NOTEBOOKS,
    BROKEN_CODE,
    imported_module,
    is_main_guard,
    parses,
    tree_of,
)

__all__ = ["absolute", "guarded", "imported_modules", "is_present", "obstacle", "readable", "with_packages"]

_PRESENT = frozenset(
    {
        "matplotlib.pyplot",
        "numpy",
        "torch",
        "torch.nn",
        "torch.nn.functional",
        "torch.optim",
        "torch.utils.data",
    }
)
"""Modules that the grader itself needs: any other import may fail without costing the rest of the file."""
_WORK = frozenset(
    {
        *("CIFAR10", "DataLoader", "ImageFolder", "Loader", "load_cifar10", "load", "loadtxt", "open", "read_csv"),
        *("backward", "finetune", "load_state_dict", "step", "test", "train"),
        *("chdir", "get_ipython", "input", "mount"),
    }
)
"""Calls that train, need a file of the student's, or need a notebook."""
_STAND_INS = frozenset({"IPython", "tqdm"})
"""Modules that every worker has, installed or not."""
_LONGEST, _DEEPEST = 255, 8
"""Characters and parts of a module's name: there is no file for a longer one."""
_RELATIVE = re.compile(rb"from\s*(?:\.\s*)+")
_GUARD = b'with __import__("contextlib").suppress(ImportError): '


def is_present(module: str) -> bool:
    """Whether a module can be counted on wherever a submission is graded."""
    return module in _PRESENT or module.partition(".")[0] in sys.stdlib_module_names


def readable(content: bytes) -> bytes:
    """The file in UTF-8 if only its encoding keeps it from being Python; else as it is."""
    text = decoded(content)
    if parses(content) or not parses(text):
        return content
    return text.encode()


def absolute(content: bytes) -> bytes:
    """The file, one of no package, with its relative imports made absolute: what it imports lies beside it.

    Every line keeps its number.
    """
    try:
        nodes = list(ast.walk(tree_of(content)))
    except BROKEN_CODE:
        return content
    relative = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level]
    if not relative:
        return content
    lines = re.split(rb"\r(?!\n)|\n", content)  # as Python counts them
    for stmt in sorted(relative, key=lambda stmt: (stmt.lineno, stmt.col_offset), reverse=True):
        _make_absolute(lines, stmt)
    made = b"\n".join(lines)
    return made if parses(made) else content


def _make_absolute(lines: list[bytes], stmt: ast.ImportFrom) -> None:
    first, last = stmt.lineno - 1, (stmt.end_lineno or stmt.lineno) - 1
    mark = len(codecs.BOM_UTF8) * lines[first].startswith(codecs.BOM_UTF8)
    before, text = lines[first][: stmt.col_offset + mark], lines[first][stmt.col_offset + mark :]
    if stmt.module:
        lines[first] = before + _RELATIVE.sub(b"from ", text, count=1)
        return
    rest = lines[last][(stmt.end_col_offset or 0) + mark * (first == last) :]
    lines[first : last + 1] = [before + ast.unparse(ast.Import(stmt.names)).encode(), *[b""] * (last - first)]
    lines[last] += rest


def obstacle(content: bytes, trainings: AbstractSet[str]) -> str:
    """Why a file should be read like a notebook rather than be imported, in words; '' where it should not.

    ``trainings`` are functions that take long.
    """
    try:
        tree = tree_of(content)
    except BROKEN_CODE:
        text = decoded(content)
        return "it holds what only a notebook understands" if has_marks(text) or without_magics(text) != text else ""
    if _called(tree) & (_WORK | trainings):
        return "importing it would train or load files"
    return ""


def _called(tree: ast.Module) -> set[str]:
    """The last names of all that is called while a module is imported, by its own functions too."""
    own = {stmt.name: stmt for stmt in tree.body if isinstance(stmt, ast.FunctionDef)}
    names: set[str] = set()
    todo: list[ast.AST] = [stmt for stmt in tree.body if not is_main_guard(stmt)]
    while todo:
        node = todo.pop()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
                continue
            case ast.Call(func=ast.Name(id=name)):
                names.add(name)
                todo.extend(own.pop(name).body if name in own else ())
            case ast.Call(func=ast.Attribute(attr=name)):
                names.add(name)
        todo.extend(ast.iter_child_nodes(node))
    return names


def imported_modules(content: bytes, package: str = "") -> frozenset[str]:
    """What a file of a package ('' for none) may import, wherever in it, and the packages around that.

    Each with its full name, "utils.helper"; what an import takes from a module may be a module too. None for a file
    that is broken, and none of names without end.
    """
    try:
        nodes = list(ast.walk(tree_of(content)))
    except BROKEN_CODE:
        return frozenset()
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [module for module in _modules(node, package) if len(module) <= _LONGEST]
            found.update(modules)
            if isinstance(node, ast.ImportFrom):
                found.update(f"{module}.{alias.name}" for module in modules for alias in node.names)
    return frozenset(part for module in found for part in with_packages(module))


def with_packages(module: str) -> Iterator[str]:
    """The packages around a module, the outermost first, and the module; no more than a few."""
    return accumulate(module.split(".", _DEEPEST)[:_DEEPEST], "{}.{}".format)


def _modules(stmt: ast.Import | ast.ImportFrom, package: str) -> list[str]:
    """The modules that an import in a file of a package names, with their full names."""
    if isinstance(stmt, ast.Import):
        return [alias.name for alias in stmt.names]
    if not stmt.level:
        return [imported_module(stmt)]
    around = package.split(".") if package else []
    if stmt.level > len(around):  # it fails wherever the file lies
        return []
    return [".".join(filter(None, [*around[: len(around) - stmt.level + 1], imported_module(stmt)]))]


def guarded(
    content: bytes, staged: AbstractSet[str], left_out: AbstractSet[str], package: str = ""
) -> tuple[bytes, list[str]]:
    """The file with its imports of modules that are not here made to pass, and the names of those nobody expects.

    What uses such a module fails then, and nothing else. Every line keeps its number. ``staged`` are the modules that
    come along and the packages around them, ``left_out`` those that should and do not; ``package`` is the file's.
    """
    try:
        stmts = tree_of(content).body
    except BROKEN_CODE:
        return content, []
    lines = content.split(b"\n")
    absent: dict[str, None] = {}
    gone = left_out | BOUND_TO_NOTEBOOKS
    for before, stmt, after in zip([None, *stmts], stmts, [*stmts[1:], None], strict=False):
        if not isinstance(stmt, ast.Import | ast.ImportFrom):
            continue
        missing = [m for m in _modules(stmt, package) if m.partition(".")[0] in gone or _is_absent(m, staged)]
        alone = (not before or before.end_lineno != stmt.lineno) and (not after or after.lineno != stmt.end_lineno)
        if missing and alone:
            absent |= dict.fromkeys(_named(m, staged) for m in missing if m.partition(".")[0] not in gone)
            lines[stmt.lineno - 1] = _guarded_line(lines[stmt.lineno - 1], stmt, missing)
    made = b"\n".join(lines)
    return (made, list(absent)) if parses(made) else (content, [])


def _guarded_line(line: bytes, stmt: ast.Import | ast.ImportFrom, missing: Iterable[str]) -> bytes:
    """The first line of an import, guarded; of several modules those that are here come first."""
    mark = codecs.BOM_UTF8 if line.startswith(codecs.BOM_UTF8) else b""
    if isinstance(stmt, ast.Import) and len(stmt.names) > 1 and stmt.end_lineno == stmt.lineno:
        names = sorted(stmt.names, key=lambda alias: alias.name in missing)
        line = ast.unparse(ast.Import(names)).encode() + b"\r" * line.endswith(b"\r")
    return mark + _GUARD + line.removeprefix(mark)


def _named(module: str, staged: AbstractSet[str]) -> str:
    """What a student would look for: a module of a package that is there, else the package."""
    root = module.partition(".")[0]
    return module if root in staged else root


def _is_absent(module: str, staged: AbstractSet[str]) -> bool:
    root = module.partition(".")[0]
    if root in _STAND_INS or is_present(root):
        return False
    if root in staged:
        return module not in staged
    try:
        return importlib.util.find_spec(root) is None
    except ValueError:  # loaded, and nobody knows from where
        return False
