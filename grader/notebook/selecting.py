"""Which statements of a notebook are kept: imports, definitions, simple constants, branches around them."""

from __future__ import annotations

import ast
import contextlib
import copy
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from keyword import iskeyword

from grader.notebook.classes import holds_values
from grader.notebook.expressions import OWN_CLASS, is_simple
from grader.notebook.meanings import is_library
from grader.notebook.syntax import (
    BOUND_TO_NOTEBOOKS,
    BROKEN_CODE,
    Definition,
    alias_name,
    bound_names,
    changed_class,
    check_compiles,
    default_values,
    imported_module,
    is_main_guard,
    local_names,
    statements,
    used_names,
)
from grader.notebook.text import listed
from grader.notebook.values import is_callable, within

__all__ = ["Selector"]

_DEVICE = "__import__('torch').device('cuda' if __import__('torch').cuda.is_available() else 'cpu')"
_IMPORT_FAILURES = frozenset({"BaseException", "Exception", "ImportError", "ModuleNotFoundError"})


@dataclass(slots=True)
class _Scope:
    """The names that the statements so far bind.

    ``known`` is that of ``is_simple``; ``lost`` holds those that only a run could bind; ``undo`` what ``known`` said
    before each binding in this cell.
    """

    known: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    undo: list[tuple[str, str | None]] = field(default_factory=list)

    def bind(self, name: str, path: str = "") -> None:
        self.undo.append((name, self.known.get(name)))
        self.known[name] = path
        self.lost.discard(name)

    def lose(self, names: AbstractSet[str]) -> None:
        self.lost.update(name for name in names if name not in self.known)

    def roll_back(self, mark: int = 0) -> None:
        """Forget the bindings since ``undo`` was so long; copies of ``known`` would take quadratic time."""
        while len(self.undo) > mark:
            name, path = self.undo.pop()
            self.known.pop(name)
            if path is not None:
                self.known[name] = path

    def lacks(self, node: ast.AST) -> bool:
        """Whether the code mentions a name that only a run could bind."""
        return not self.lost.isdisjoint(used_names(node))


class Selector:
    """Decides, statement by statement, what can be taken without running anything.

    ``definitions`` counts the functions and classes taken, by name; ``future`` is the line that must come
    before all that is taken, or ''; ``made`` names what only a call of one of them could make.
    """

    def __init__(self) -> None:
        self.definitions: dict[str, int] = {}
        self.future = ""
        self.made: set[str] = set()
        self._scope = _Scope()
        self._rebound: set[str] = set()  # definitions of which an assignment or import took the place
        self._absent: dict[str, None] = {}  # modules whose imports were left out, in order
        self._uses: dict[str, set[str]] = {}  # the outer names that each definition or lambda mentions
        self._kept_as_defined: dict[str, None] = {}  # what only a run could have replaced, in order
        self._inner: list[ast.stmt] = []  # what stands in a main function or a branch
        self._hoisted: list[str] = []  # the definitions taken from it

    def take_cell(self, source: str) -> str:
        """The part of a cell to keep, as source; takes nothing where it raises one of BROKEN_CODE."""
        self._scope.undo.clear()
        counts, rebound = dict(self.definitions), set(self._rebound)
        try:
            kept = [(text, stmt, self._take_anew(stmt)) for text, stmt in _unwrapped(source)]
            chunk = "\n".join(text if new is old else ast.unparse(new) for text, old, new in kept if new)
            check_compiles(chunk)
        except BROKEN_CODE:
            self._scope.roll_back()
            self.definitions, self._rebound = counts, rebound
            raise
        self._inner += [inner for _, stmt, new in kept if new or isinstance(stmt, ast.If) for inner in _hidden(stmt)]
        return chunk

    def take_inner(self) -> str:
        """What main functions and branches hold: definitions that are nowhere else, and what is kept around them."""
        chunks = []
        for stmt in self._inner:
            if bound_names(stmt).isdisjoint(self._scope.known):
                with contextlib.suppress(*BROKEN_CODE):
                    chunks.append(self.take_cell(ast.unparse(stmt)))
                    self._hoisted += [stmt.name] if isinstance(stmt, Definition) else []
        return "\n\n".join(filter(None, chunks)) if self._hoisted else ""

    def notes(self, name: str) -> Iterator[str]:
        """What a student should know about the choice; ``name`` is the notebook's."""
        again = [n for n, count in self.definitions.items() if count > 1 or n in self._rebound]
        if again:
            yield f"Defined more than once in {name}, the last one counts: {listed(again)}."
        if self._hoisted:
            yield f"Taken out of the main function or a branch of {name}: {listed(self._hoisted)}."
        if self._absent:
            yield f"Imports of {listed(self._absent)} in {name} were left out: they exist only in a notebook."
        if self._kept_as_defined:
            kept = listed(self._kept_as_defined)
            yield f"{_what_runs(name)} not run, so {kept} stayed as defined: write a definition."
        lost = self._scope.lost
        users = {user: names & lost for user, names in self._uses.items() if names & lost}
        if users:
            values = listed(sorted(set().union(*users.values())))
            yield f"{_what_runs(name)} not run, so {listed(users)} will not find {values}: use arguments."

    def _take_anew(self, stmt: ast.stmt) -> ast.stmt | None:
        """The statement as it is kept; remembers definitions that it replaces by something that can be called."""
        kept = self._take(stmt)
        for one in within(kept) if kept and not isinstance(kept, Definition) else ():
            self._rebound.update(name for name in self._replaced_names(one) if name in self.definitions)
        return kept

    def _replaced_names(self, stmt: ast.stmt) -> set[str]:
        match stmt:
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                return {alias_name(alias) for alias in aliases if is_library(stmt, alias)}
            case ast.Assign(value=value):
                named = used_names(value)
                callables = {name for name in named if self._scope.known.get(name) or name in self.definitions}
                return bound_names(stmt) if is_callable(value, callables) else set()
        return set()

    def _take(self, stmt: ast.stmt) -> ast.stmt | None:
        """The statement as it is kept, or None; the same object where nothing had to be changed."""
        stmt = _plain_form(stmt)
        mark = len(self._scope.undo)
        kept = self._kept(stmt)
        if kept is None:
            self._scope.roll_back(mark)
            self._scope.lose(bound_names(stmt))
            self._kept_as_defined |= dict.fromkeys(self._replaced(stmt))
            self.made.update(self._made(stmt))
        return kept

    def _replaced(self, stmt: ast.stmt) -> Iterator[str]:
        """The definitions that a statement makes anew from themselves, and the methods that it replaces."""
        match stmt:
            case ast.Assign(targets=[target], value=value):
                again = bound_names(target) & used_names(value)
                if changed_class(stmt) in self.definitions or any(name in self.definitions for name in again):
                    yield ast.unparse(target)

    def _made(self, stmt: ast.stmt) -> Iterator[str]:
        match stmt:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id=maker))):
                if maker in self.definitions:
                    yield name

    def _kept(self, stmt: ast.stmt) -> ast.stmt | None:
        if (owner := changed_class(stmt)) in self.definitions:  # it may hold more than values from now on
            self._scope.bind(owner)
        match stmt:
            case ast.Import() | ast.ImportFrom():
                return self._import(stmt)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return self._definition(stmt)
            case ast.Assign(value=value) if owner in self.definitions:
                return stmt if self._is_method(value) else None
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value) | ast.AugAssign(value=value):
                return self._assignment(stmt, value) if self._is_simple(value) else self._device(stmt)
            case ast.If(test=test):
                return self._branches(stmt) if self._is_simple(test) else None
            case ast.Try(handlers=[_, *_]):
                guarded = all(map(_catches_import_failure, stmt.handlers))
                return self._branches(stmt, guarded=True) if guarded else None
        return None

    def _device(self, stmt: ast.stmt) -> ast.stmt | None:
        """A device that only a run could choose: the one that is here."""
        match stmt:
            case ast.Assign(targets=[ast.Name(id="device" | "DEVICE" as name)]):
                self._scope.bind(name)
                return ast.parse(f"{name} = {_DEVICE}").body[0]
        return None

    def _is_simple(self, node: ast.expr) -> bool:
        return is_simple(node, self._scope.known)

    def _is_method(self, value: ast.expr) -> bool:
        """Whether a value may become a method: it may have been decorated by a function of the notebook."""
        match value:
            case ast.Call(ast.Name("classmethod" | "property" | "staticmethod"), [ast.Call(ast.Name(name), args, [])]):
                return name in self.definitions and bool(args) and all(map(self._is_simple, args))
        return self._is_simple(value)

    def _assignment(self, stmt: ast.stmt, value: ast.expr) -> ast.stmt | None:
        match stmt:
            case ast.Assign(targets=targets) if all(map(_is_plain, targets)):
                self._bind_all(stmt, value)
                return stmt
            case ast.AnnAssign(target=ast.Name() as target):
                self._bind_all(stmt, value)
                return ast.Assign([target], value, lineno=stmt.lineno)  # what annotates it may not exist here
            case ast.AugAssign(target=ast.Name(id=name)) if name in self._scope.known:
                return stmt
        return None

    def _bind_all(self, stmt: ast.stmt, value: ast.expr) -> None:
        lambdas = [node for node in ast.walk(value) if isinstance(node, ast.Lambda)]
        uses = [used_names(node) - local_names(node) for node in lambdas]
        for name in bound_names(stmt):
            self._scope.bind(name)
            if uses:
                self._uses.setdefault(name, set()).update(*uses)

    def _import(self, stmt: ast.Import | ast.ImportFrom, guarded: bool = False) -> ast.stmt | None:
        module = imported_module(stmt)
        if module == "__future__":
            if any(alias.name == "annotations" for alias in stmt.names):
                self.future = "from __future__ import annotations\n"
            return None
        aliases = [a for a in stmt.names if guarded or not self._is_absent(module or a.name)]
        for alias in aliases:
            self._bind_alias(module, alias)
        if not aliases or (isinstance(stmt, ast.ImportFrom) and stmt.level):
            return None
        if len(aliases) == len(stmt.names):
            return stmt
        self._scope.lose({alias_name(a) for a in stmt.names})
        return ast.Import(aliases)

    def _is_absent(self, module: str) -> bool:
        absent = module.partition(".")[0] in BOUND_TO_NOTEBOOKS
        if absent:
            self._absent[module] = None
        return absent

    def _bind_alias(self, module: str, alias: ast.alias) -> None:
        name = alias_name(alias)
        if module and alias.name != "*":
            self._scope.bind(name, f"{module}.{alias.name}")
        elif alias.name != "*":
            self._scope.bind(name, alias.name if alias.asname else name)

    def _definition(self, stmt: Definition) -> ast.stmt | None:
        self._uses.setdefault(stmt.name, set()).update(used_names(stmt) - local_names(stmt))
        outside = [*stmt.decorator_list, *(stmt.bases if isinstance(stmt, ast.ClassDef) else ())]
        if any(map(self._scope.lacks, outside)):
            return None
        if changed_class(stmt) not in self.definitions:  # else it is a method, and others may have its name
            self.definitions[stmt.name] = self.definitions.get(stmt.name, 0) + 1
        own = isinstance(stmt, ast.ClassDef) and holds_values(stmt, self._scope.known)
        self._scope.bind(stmt.name, OWN_CLASS if own else "")
        return self._with_defaults(stmt)

    def _with_defaults(self, stmt: Definition) -> ast.stmt:
        """None in place of each default value that only a run could compute: an import would fail on it."""
        if not any(self._scope.lacks(default) for _, _, default in default_values(stmt)):
            return stmt
        stmt = copy.deepcopy(stmt)
        for values, i, default in default_values(stmt):
            if self._scope.lacks(default):
                values[i] = ast.Constant(None)
        return stmt

    def _branches(self, stmt: ast.If | ast.Try, guarded: bool = False) -> ast.stmt | None:
        """An ``if`` or ``try`` around imports and constants, without the calls (say of print) among them."""
        new = copy.copy(stmt)
        blocks: list[tuple[ast.AST, str]] = [(new, "body"), (new, "orelse")]
        if isinstance(new, ast.Try):
            new.handlers = [copy.copy(handler) for handler in new.handlers]
            blocks += [(new, "finalbody"), *((handler, "body") for handler in new.handlers)]
        useful = False
        for owner, name in blocks:
            block = self._block(getattr(owner, name), guarded and owner is new, isinstance(new, ast.Try))
            if block is None:
                return None
            useful |= bool(block)
            setattr(owner, name, block or [ast.Pass()] * (name == "body"))
        return new if useful else None

    def _block(self, stmts: list[ast.stmt], guarded: bool, defines: bool) -> list[ast.stmt] | None:
        """What is kept of a block; None where it does more than bind names and call what can be left out."""
        kept: list[ast.stmt] = []
        for stmt in stmts:
            match stmt:
                case ast.Expr() | ast.Pass():
                    continue
                case ast.Import() | ast.ImportFrom():
                    new = self._import(stmt, guarded)
                case ast.FunctionDef() | ast.ClassDef() if defines:  # in place of what is not installed
                    new = self._definition(stmt)
                case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.If() | ast.Try():
                    new = self._take(stmt)
                case _:
                    new = None
            if new is None:
                return None
            kept.append(new)
        return kept


def _unwrapped(source: str) -> Iterator[tuple[str, ast.stmt]]:
    """The statements of a cell, those under ``if __name__ == "__main__":`` among them."""
    for text, stmt in statements(source):
        if isinstance(stmt, ast.If) and is_main_guard(stmt):
            yield from ((ast.unparse(inner), inner) for inner in stmt.body)
        else:
            yield text, stmt


def _hidden(stmt: ast.stmt) -> list[ast.stmt]:
    """What a function called main does, or an ``if``, if it is one that defines functions."""
    match stmt:
        case ast.If(test=ast.Constant(value=False | 0 | None)):  # it was switched off
            return []
        case ast.FunctionDef(name="main" | "Main" | "MAIN", body=body) | ast.If(body=body):
            return body if any(isinstance(inner, Definition) for inner in body) else []
    return []


def _what_runs(name: str) -> str:
    return f"Cells of {name} are" if name.casefold().endswith(".ipynb") else f"The top level of {name} is"


def _plain_form(stmt: ast.stmt) -> ast.stmt:
    """``setattr(C, "f", g)`` as the assignment that it is."""
    match stmt:
        case ast.Expr(ast.Call(ast.Name("setattr"), [ast.Name() as owner, ast.Constant(str(name)), value], [])):
            if name.isidentifier() and not iskeyword(name):
                return ast.Assign([ast.Attribute(owner, name, ast.Store())], value, lineno=stmt.lineno)
    return stmt


def _is_plain(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return all(map(_is_plain, target.elts))
    return isinstance(target.value if isinstance(target, ast.Starred) else target, ast.Name)


def _catches_import_failure(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or not used_names(handler.type).isdisjoint(_IMPORT_FAILURES)
