"""What the names of a notebook stand for, as far as it can be told without running it: whose functions, with what
arguments.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from itertools import takewhile

from grader.notebook.syntax import alias_name, bound_names, imported_module
from grader.notebook.values import Statement

__all__ = ["Meaning", "Other", "is_library", "meanings", "positional", "required"]

_LIBRARIES = sys.stdlib_module_names | {
    *("autograd", "cv2", "jax", "keras", "matplotlib", "numpy", "pandas", "scipy", "seaborn", "sklearn", "tensorflow"),
    *("torch", "torchmetrics", "torchvision"),
}
"""Modules that are nobody's own."""
_MOST_ARGUMENTS = 50
"""Of a function whose partial application is looked at; none that is asked for has nearly as many."""
_ANY_ARGUMENTS = ast.arguments([], [], ast.arg("args"), [], [], ast.arg("kwargs"), [])


class Other(Enum):
    """What is no function that the notebook itself defines."""

    CLASS = "class"
    LIBRARY = "library"


Meaning = ast.arguments | Other | None
"""The arguments of a function, or what else a name stands for; None where only a run could tell."""


def meanings(stmts: Iterable[Statement]) -> list[dict[str, Meaning]]:
    """What each statement makes of the names that it binds."""
    known: dict[str, Meaning] = {}
    found = []
    for _, stmt in stmts:
        made = dict(_made(stmt, known))
        known |= made
        found.append(made)
    return found


def is_library(stmt: ast.Import | ast.ImportFrom, alias: ast.alias) -> bool:
    """Whether an import takes something from another library, not from a module of the student's."""
    root = (imported_module(stmt) or alias.name).partition(".")[0]
    return root in _LIBRARIES and not (isinstance(stmt, ast.ImportFrom) and stmt.level)


def required(args: ast.arguments) -> int:
    """How many arguments must be given, those aside that must be given by name."""
    return positional(args) - len(args.defaults)


def positional(args: ast.arguments) -> int:
    """How many arguments may be given without their names, further ones for ``*args`` aside."""
    return len(args.posonlyargs) + len(args.args)


def _made(stmt: ast.stmt, known: Mapping[str, Meaning]) -> Iterator[tuple[str, Meaning]]:
    match stmt:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield stmt.name, _ANY_ARGUMENTS if stmt.decorator_list else stmt.args
        case ast.ClassDef():
            yield stmt.name, None if stmt.decorator_list else Other.CLASS
        case ast.Import() | ast.ImportFrom():
            for alias in stmt.names:
                yield alias_name(alias), Other.LIBRARY if is_library(stmt, alias) else None
        case ast.Assign(targets=targets, value=value) if all(isinstance(target, ast.Name) for target in targets):
            meaning = _meaning(value, known)
            yield from ((name, meaning) for name in bound_names(stmt))
        case _:
            yield from ((name, None) for name in bound_names(stmt))


def _meaning(value: ast.expr, known: Mapping[str, Meaning]) -> Meaning:
    match value:
        case ast.Name(id=name):
            return known.get(name)
        case ast.Lambda(args=args):
            return args
        case ast.Attribute(value=owner):
            return Other.LIBRARY if _meaning(owner, known) is Other.LIBRARY else None
        case ast.Call(ast.Name("partial") | ast.Attribute(attr="partial"), [function, *given], keywords):
            whole = _meaning(function, known)
            if isinstance(whole, ast.arguments) and positional(whole) > _MOST_ARGUMENTS:
                return None
            named = {keyword.arg for keyword in keywords}
            told_apart = None not in named and not any(isinstance(arg, ast.Starred) for arg in given)
            return _rest(whole, len(given), named) if isinstance(whole, ast.arguments) and told_apart else None
    return None


def _rest(whole: ast.arguments, given: int, named: AbstractSet[str | None]) -> ast.arguments:
    """The arguments of a function of which the first and those of some names were given already."""
    values: list[ast.expr | None] = [None] * required(whole)
    pairs = list(zip([*whole.posonlyargs, *whole.args], [*values, *whole.defaults], strict=True))[given:]
    free = list(takewhile(lambda pair: pair[0].arg not in named, pairs))
    others = [*pairs[len(free) :], *zip(whole.kwonlyargs, whole.kw_defaults, strict=True)]
    by_name = [(arg, value) for arg, value in others if arg.arg not in named]
    return ast.arguments(
        posonlyargs=[],
        args=[arg for arg, _ in free],
        vararg=whole.vararg if len(free) == len(pairs) else None,
        kwonlyargs=[arg for arg, _ in by_name],
        kw_defaults=[value for _, value in by_name],
        kwarg=whole.kwarg,
        defaults=[value for _, value in free if value],
    )
