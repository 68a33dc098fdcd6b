"""Small questions about syntax trees, shared by what chooses statements and what fills them in."""

from __future__ import annotations

import ast
import re
import symtable
import warnings
from collections.abc import Iterator
from functools import lru_cache

__all__ = [  # noqa: RUF022  (sorted as the house sorts)
    "BOUND_TO_NOTEBOOKS",
    "BROKEN_CODE",
    "CODE_LIMIT",
    "Definition",
    "Function",
    "REMEMBERED",
    "alias_name",
    "bound_names",
    "changed_class",
    "check_compiles",
    "default_values",
    "imported_module",
    "is_main_guard",
    "local_names",
    "outer_names",
    "parse",
    "parses",
    "statements",
    "tree_of",
    "used_names",
]

CODE_LIMIT = 2**20
"""Characters of code that are parsed: a syntax tree takes some 300 times the memory of its text."""
_DOTTED = re.compile(r"(?<![\w\x80-\U0010ffff])(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*+[\s\\]*+\.[\s\\]*+)++")
_MOST_DOTS = 200
"""Dots of one name: Python takes the square of their number, minutes for ``import a.a.a`` and so on."""
BROKEN_CODE = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
"""What parsing and compiling raise for code that cannot be used."""
REMEMBERED = 32
"""Files of which what was found is remembered: a search asks the same of a submission's few files again and again."""
_REMEMBERED_SIZE = 1 << 15
BOUND_TO_NOTEBOOKS = frozenset({"google", "ipywidgets"})
"""Packages that only a notebook server has."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def tree_of(source: bytes) -> ast.Module:
    """The syntax tree of a file, which may be shared: not to be changed. Raises one of BROKEN_CODE."""
    return (_remembered_tree if len(source) <= _REMEMBERED_SIZE else parse)(source)


@lru_cache(maxsize=16)
def _remembered_tree(source: bytes) -> ast.Module:
    return parse(source)


def parse(source: str | bytes) -> ast.Module:
    """The syntax tree of a module; raises one of BROKEN_CODE."""
    text = source if isinstance(source, str) else source.decode("latin-1")
    if len(source) > CODE_LIMIT or any(found[0].count(".") > _MOST_DOTS for found in _DOTTED.finditer(text)):
        raise ValueError("too long")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\lambda" in a docstring is no concern of ours
        return ast.parse(source)


@lru_cache(maxsize=REMEMBERED)
def parses(source: str | bytes) -> bool:
    """Whether a text is Python."""
    try:
        tree_of(source) if isinstance(source, bytes) else parse(source)
    except BROKEN_CODE:
        return False
    return True


def check_compiles(source: str) -> None:
    """Raise what an import of this source would raise before it runs, say for a return without a function."""
    tree = parse(source)
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, name, None), list):
                setattr(node, name, list(_without_finally(block)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(tree, "<cell>", "exec", dont_inherit=True)


def _without_finally(block: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The block, each ``finally`` a plain continuation: compiled as it is, one inside another doubles the code."""
    todo = block[::-1]
    while todo:
        stmt = todo.pop()
        if isinstance(stmt, ast.Try | ast.TryStar) and stmt.finalbody:
            todo += reversed(stmt.finalbody)
            stmt.finalbody = []
            if not stmt.handlers:
                todo += reversed(stmt.body)
                continue
        yield stmt


def statements(source: str) -> Iterator[tuple[str, ast.stmt]]:
    """Each statement with its own lines, comments included; rewritten where it shares a line with another."""
    body, lines = parse(source).body, source.split("\n")
    spans = [(_first_line(stmt), stmt.end_lineno or stmt.lineno) for stmt in body]
    for i, (stmt, (first, last)) in enumerate(zip(body, spans, strict=True)):
        shared = (i and spans[i - 1][1] == first) or (i + 1 < len(spans) and spans[i + 1][0] == last)
        text = "\n".join(lines[first - 1 : last])
        yield (ast.unparse(stmt) if shared or text.endswith("\\") else text), stmt


def _first_line(stmt: ast.stmt) -> int:
    decorators = stmt.decorator_list if isinstance(stmt, Definition) else []
    return min([stmt.lineno, *(d.lineno for d in decorators)])


def bound_names(tree: ast.AST) -> set[str]:
    """The names that a module or statement binds where it stands, not inside of functions and classes."""
    names: set[str] = set()
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                names.update(alias_name(alias) for alias in node.names)
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                pass
            case _:
                todo.extend(ast.iter_child_nodes(node))
    return names


def changed_class(stmt: ast.stmt) -> str:
    """What a statement gives another method: ``STE.backward = staticmethod(f)``, or a definition under
    ``@add_to_class(STE)``; '' for all others.
    """
    match stmt:
        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name))]):
            return name
        case ast.FunctionDef(decorator_list=[ast.Call(func=ast.Name(), args=[ast.Name(id=name)]), *_]):
            return name
    return ""


def used_names(tree: ast.AST) -> set[str]:
    """Every name that occurs as a variable, at any depth."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def outer_names(source: str) -> set[str]:
    """The names that a module or statement takes from its top level: not those that are local to its functions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        todo = [symtable.symtable(source, "<cell>", "exec")]
    names: set[str] = set()
    while todo:
        table = todo.pop()
        names.update(symbol.get_name() for symbol in table.get_symbols() if symbol.is_global())
        todo += table.get_children()
    return names


def local_names(definition: Definition | ast.Lambda) -> set[str]:
    """The names that a definition or lambda binds at any depth inside, its own and its parameters among them."""
    names: set[str] = set()
    for node in ast.walk(definition):
        match node:
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.alias():
                names.add(alias_name(node))
    return names


def default_values(
    definition: Definition,
) -> Iterator[tuple[list[ast.expr] | list[ast.expr | None], int, ast.expr]]:
    """Every default value of a function, or of a class's methods, with the list and index where it stands."""
    if isinstance(definition, ast.ClassDef):
        for stmt in definition.body:
            if isinstance(stmt, Function):
                yield from default_values(stmt)
        return
    for values in (definition.args.defaults, definition.args.kw_defaults):
        for i, value in enumerate(values):
            if value is not None:
                yield values, i, value


def alias_name(alias: ast.alias) -> str:
    """The name that one part of an import binds."""
    return alias.asname or alias.name.partition(".")[0]


def is_main_guard(stmt: ast.stmt) -> bool:
    """Whether a statement is ``if __name__ == "__main__":``."""
    match stmt:
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()])):
            return True
    return False


def imported_module(stmt: ast.Import | ast.ImportFrom) -> str:
    """What stands between ``from`` and ``import``; '' for a plain import and for ``from . import``."""
    return (stmt.module or "") if isinstance(stmt, ast.ImportFrom) else ""
