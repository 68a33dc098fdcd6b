"""Small mistakes in the reference, made by machine: each must cost a check, or have a reason why it costs none.

Most operators are cosmic-ray's, used as a library: its own runner starts a test command for every mutant, and with it
torch, where a warm worker needs a fraction of a second. What it lacks is in ``_own_edits``.
"""

from __future__ import annotations

import ast
import itertools
import textwrap
import tomllib
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast  # type: ignore[import-untyped]  # the package declares no types
from cosmic_ray.mutating import mutate_code  # type: ignore[import-untyped]
from cosmic_ray.operators.provider import OperatorProvider  # type: ignore[import-untyped]

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.grade import Grader
from grader.report import Outcome
from grader.submission import Submission

__all__ = ["GRADED_BY", "Mutant", "Verdict", "grade", "impatient", "load_survivors", "mutants", "stale", "unexplained"]

GRADED_BY = {
    "lab1_sparse_optimization.py": "1",
    "lab2_pruning.py": "2",
    "FP_layers.py": "3b",
    "lab3_quantization.py": "3",
}
"""The files that are mutated, and the first letters of the parts that each is graded by."""

_SURVIVORS = Path(__file__).with_name("survivors.toml")
_BEGIN, _END = "# BEGIN SOLUTION", "# END SOLUTION"
_PROBE_SECONDS = 3.0  # the reference needs less than one, and a mutant that never ends need not cost more


@dataclass(frozen=True)
class Mutant:
    """The reference with one small mistake.

    Attributes:
        id: function, operator and number, such as ``lab2_pruning.evaluate:ReplaceBinaryOperator_Div_Mul:0``, which
            edits of other functions do not change.
        file: the name of the file that it changes.
        line: where, from 1.
        operator: the name of the mutation operator.
        before, after: the lines that differ, joined.
        source: the whole file with the mistake.
    """

    id: str
    file: str
    line: int
    operator: str
    before: str
    after: str
    source: str


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: the checks that it did not pass, and how they ended."""

    mutant: str
    failed: Mapping[str, Outcome]

    @property
    def survived(self) -> bool:
        """Whether it passed every check."""
        return not self.failed


@dataclass(frozen=True)
class _Region:
    """A solution: its code without the indentation, and the number of its first line in the file."""

    first: int
    indent: str
    code: str


@dataclass(frozen=True, order=True)
class _Edit:
    """A region's code with one mistake, in a line of the region."""

    line: int
    operator: str
    place: int
    code: str


# --- grading


def grade(mutant: Mutant, files: Mapping[str, bytes], grader: Grader, assignment: Assignment) -> Verdict:
    """Grade the reference's ``files`` with the mutant in place of one of them, on the parts of its lab."""
    submission = Submission(mutant.id, {**files, mutant.file: mutant.source.encode()}, ())
    report = grader.grade(submission, [part for part in assignment.parts if part[0] in GRADED_BY[mutant.file]])
    checks = [check for part in report.parts for check in part.checks]
    return Verdict(mutant.id, {c.name: c.outcome for c in checks if c.outcome is not Outcome.PASSED})


def impatient(assignment: Assignment) -> Assignment:
    """The rubric with a short deadline for probes, since some mutants never end."""
    limits = assignment.limits.model_copy(update={"probe_seconds": _PROBE_SECONDS})
    return assignment.model_copy(update={"limits": limits})


# --- survivors


def load_survivors(path: Path = _SURVIVORS) -> dict[str, str]:
    """Why mutants survive, by id: a table per function, a line per mutant.

    Raises:
        GraderError: the file is no such TOML, or a reason is empty.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise GraderError(f"{path} cannot be read: {error}") from None
    reasons = {}
    for function, table in tables.items():
        if not isinstance(table, dict):
            raise GraderError(f"{path}: {function} is not a table of mutants, such as [{function!r}]")
        for mutant, reason in table.items():
            if not isinstance(reason, str) or not reason.strip():
                raise GraderError(f"{path}: {function}:{mutant} has no reason: write one, in quotes")
            reasons[f"{function}:{mutant}"] = reason
    return reasons


def unexplained(survivors: Iterable[str], explained: Collection[str]) -> list[str]:
    """The survivors without a reason: holes in the checks, or in the list."""
    return [survivor for survivor in survivors if survivor not in explained]


def stale(survivors: Collection[str], explained: Iterable[str]) -> list[str]:
    """The reasons of mutants that do not survive, or do not exist."""
    return [mutant for mutant in explained if mutant not in survivors]


# --- mutants


def mutants(files: Mapping[str, bytes]) -> Iterator[Mutant]:
    """Every mutant of the solutions in ``files``, by file and line; never in a docstring or an annotation.

    Those that do not compile, change nothing or repeat another one are left out.
    """
    for file in GRADED_BY:
        yield from _mutants_of(file, files[file].decode())


def _mutants_of(file: str, source: str) -> Iterator[Mutant]:
    tree = ast.parse(source)
    functions, modules = _functions(tree), _modules(tree)
    counts: Counter[str] = Counter()
    for region in _regions(source):
        known = {_shape(region.code)}
        for edit in sorted([*_cosmic_ray_edits(region.code), *_own_edits(region.code, modules)]):
            line = region.first + edit.line - 1
            name = f"{file.removesuffix('.py')}.{functions[line]}:{edit.operator}"
            counts[name] += 1
            mutated, shape = _with_region(source, region, edit.code), _shape(edit.code)
            if shape in known or not _compiles(mutated, file):
                continue
            known.add(shape)
            before, after = _difference(region.code, edit.code)
            yield Mutant(f"{name}:{counts[name] - 1}", file, line, edit.operator, before, after, mutated)


def _regions(source: str) -> Iterator[_Region]:
    lines, first = source.splitlines(), 0
    for number, line in enumerate(lines, start=1):
        if line.strip().startswith(_BEGIN):
            first = number + 1
        elif line.strip() == _END:
            code = "\n".join(lines[first - 1 : number - 1]) + "\n"
            yield _Region(first, line[: line.index("#")], textwrap.dedent(code))


def _with_region(source: str, region: _Region, code: str) -> str:
    lines = source.splitlines(keepends=True)
    below = lines[region.first - 1 + len(region.code.splitlines()) :]
    return "".join([*lines[: region.first - 1], textwrap.indent(code, region.indent), *below])


def _functions(tree: ast.AST, prefix: str = "") -> dict[int, str]:
    """By line, the qualified name of the innermost function or class."""
    found: dict[int, str] = {}
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            found |= dict.fromkeys(lines, prefix + node.name) | _functions(node, f"{prefix}{node.name}.")
    return found


def _modules(tree: ast.Module) -> set[str]:
    """What a file imports, and its classes: a function of theirs works on its arguments, not on what is before it."""
    imports = [alias for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names]
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    return classes | {(alias.asname or alias.name).partition(".")[0] for alias in imports}


def _shape(code: str) -> str | None:
    """The syntax tree as text; None if it has none."""
    try:
        return ast.dump(ast.parse(code))
    except SyntaxError:
        return None


def _compiles(source: str, file: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):  # `1 is x` compiles, with a warning
            compile(source, file, "exec")
    except SyntaxError:
        return False
    return True


def _difference(before: str, after: str) -> tuple[str, str]:
    """The lines that differ, joined."""
    old, new = ([line.strip() for line in code.splitlines()] for code in (before, after))
    for end in (0, -1):
        while old and new and old[end] == new[end]:
            del old[end], new[end]
    return " ".join(old), " ".join(new)


# --- operators


def _cosmic_ray_edits(code: str) -> Iterator[_Edit]:
    """Operators, numbers and keywords replaced, conditions negated, loops emptied."""
    annotations = [
        ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))
        for node in _annotations(ast.parse(code))
    ]
    nodes = list(ast_nodes(get_ast(code)))
    provider: Any = OperatorProvider()
    for name in provider:
        operator = provider[name]
        if operator.arguments():
            continue  # those replace variables by random numbers
        places = (place for node in nodes for place, _ in operator().mutation_positions(node))
        for number, place in enumerate(places):
            if not any(start <= place < end for start, end in annotations):
                yield _Edit(place[0], name, number, mutate_code(code, operator(), number))


def _own_edits(code: str, modules: Collection[str]) -> Iterator[_Edit]:
    """Statements and arguments deleted, expressions replaced by a part of them, ``with`` undone, strings emptied."""
    tree = ast.parse(code)
    left_alone = {id(node) for node in _left_alone(tree)}
    unused = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    text = code.encode()  # columns count bytes
    starts = [0, *itertools.accumulate(map(len, text.splitlines(keepends=True)))]
    for node in ast.walk(tree):
        if isinstance(node, (ast.stmt, ast.expr)) and id(node) not in left_alone:
            place = starts[node.lineno - 1] + node.col_offset
            for operator, last, new in _changes(node, modules):
                if operator == "KeepPart" and id(node) in unused:
                    continue  # a part of a value that nothing uses: the same as deleting the statement
                end = starts[(last.end_lineno or 0) - 1] + (last.end_col_offset or 0)
                changed = text[:place] + new.encode() + text[end:]
                yield _Edit(node.lineno, operator, place, changed.decode())


_Change = tuple[str, ast.stmt | ast.expr, str]
"""An operator, the last node of what it replaces, and by what."""


def _changes(node: ast.stmt | ast.expr, modules: Collection[str]) -> Iterator[_Change]:
    match node:
        case ast.Expr() | ast.Assign() | ast.AugAssign() | ast.AnnAssign() | ast.Return() | ast.If():
            yield "DeleteStatement", node, "pass"
        case ast.With():
            yield "UndoWith", node.items[-1].context_expr, "if True"
        case ast.JoinedStr() | ast.Constant(value=str()):
            yield "EmptyString", node, '""'
        case ast.Call():
            for i in range(len(node.args)):
                fewer = ast.Call(node.func, node.args[:i] + node.args[i + 1 :], node.keywords)
                yield "DeleteArgument", node, ast.unparse(fewer)
            for i in range(len(node.keywords)):
                fewer = ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])
                yield "DeleteArgument", node, ast.unparse(fewer)
    if isinstance(node, ast.expr):
        yield from (("KeepPart", node, f"({ast.unparse(part)})") for part in _parts(node, modules))


def _parts(node: ast.expr, modules: Collection[str]) -> Iterator[ast.expr]:
    """What an expression starts from: operands, the object of a method, the first argument of a function."""
    match node:
        case ast.BinOp():
            yield from (node.left, node.right)
        case ast.IfExp():
            yield from (node.body, node.orelse)
        case ast.Call(func=ast.Attribute(value=owner)) if _root(owner) not in modules:
            yield owner
        case ast.Call(args=[first, *_]):
            yield first
        case ast.Subscript(ctx=ast.Load()):
            yield node.value
        case ast.Attribute(ctx=ast.Load()) if _root(node) not in modules:
            yield node.value


def _root(node: ast.expr) -> str | None:
    """``a`` of ``a.b.c``."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _annotations(tree: ast.AST) -> list[ast.expr]:
    """The type annotations of arguments, results and variables."""
    found = [
        (node.annotation if isinstance(node, (ast.arg, ast.AnnAssign)) else node.returns)
        for node in ast.walk(tree)
        if isinstance(node, (ast.arg, ast.AnnAssign, ast.FunctionDef))
    ]
    return [annotation for annotation in found if annotation is not None]


def _left_alone(tree: ast.AST) -> Iterator[ast.AST]:
    """Annotations, docstrings, what is inside an f-string, and the ``a.b`` of ``a.b()``, which is part of the call."""
    for annotation in _annotations(tree):
        yield from ast.walk(annotation)
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(body=[ast.Expr(value=ast.Constant(value=str())) as docstring, *_]):
                yield from ast.walk(docstring)
            case ast.JoinedStr():
                yield from (inner for part in node.values for inner in ast.walk(part))
            case ast.Call():
                yield node.func
