"""What the grader is proven with: mistakes that students make, and versions that are right in another way.

An entry is a decorated function; its source, renamed, is appended to the reference's module, so that it replaces the
function of the same name. It may use whatever that module imports or defines. One file per lab holds the
misconceptions (``labN.py``), one the equivalents (``equivalents_labN.py``), one the near misses (``near_labN.py``).
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from grader.errors import CatalogueError

__all__ = ["Entry", "Kind", "all_entries", "entry", "equivalent", "misconception", "near_miss", "with_entries"]

ANSWERS = "answers"
"""The target of a wrong verdict is ``answers.PART``, such as ``answers.p1.3``."""

_HINT = "Hint:"


class Kind(StrEnum):
    """What an entry is for."""

    MISCONCEPTION = "misconception"
    EQUIVALENT = "equivalent"
    NEAR_MISS = "near miss"


@dataclass(frozen=True)
class Entry:
    """Another version of one function, wrong or right.

    Attributes:
        id: the catalogue's file and the function's name, such as ``lab1.factor_two_missing``.
        target: what it replaces, such as ``lab2_pruning.evaluate`` or ``FP_layers.STE.forward``; a module
            alone where several definitions belong together; ``answers.p1.1`` for a verdict.
        kind: misconception, equivalent or near miss.
        title: a few words that name it.
        explanation: what is wrong, for a student; of an equivalent, why it is right.
        hint: what to look at, without the solution; misconceptions only.
        fails: the checks that fail because of it; of an equivalent, those whose points are not its due.
        may_fail: further checks, whose outcome hangs on how well a training with the mistake turns out.
        guards: the tolerances (names in ``grader.checks.tolerances``) that it lies just beyond; near misses only.
        code: what is appended to the target's module, or the verdict.
    """

    id: str
    target: str
    kind: Kind
    title: str
    explanation: str
    hint: str
    fails: frozenset[str]
    may_fail: frozenset[str]
    guards: frozenset[str]
    code: str

    @property
    def right(self) -> bool:
        """Whether it deserves full marks."""
        return self.kind is Kind.EQUIVALENT

    @property
    def module(self) -> str:
        """The module, or ``answers``, that it is part of."""
        return self.target.partition(".")[0]

    @property
    def file(self) -> str:
        """The file that it is appended to."""
        return "answers.toml" if self.module == ANSWERS else f"{self.module}.py"

    @property
    def replaces(self) -> frozenset[str]:
        """Every function that it replaces, such as ``lab2_pruning.evaluate``."""
        if self.module == ANSWERS or "." in self.target:
            return frozenset({self.target})
        return frozenset(f"{self.module}.{name}" for name in _defined(ast.parse(self.code)))


def _defined(tree: ast.Module) -> Iterator[str]:
    """The public functions and methods that a module's code defines, and the methods that it assigns to a class."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{name}" for name in _defined(ast.Module(node.body, [])))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            yield ast.unparse(node.targets[0])


_Decorator = Callable[[Callable[..., Any]], Entry]


def misconception(target: str, *, fails: Sequence[str], may_fail: Sequence[str] = ()) -> _Decorator:
    """Make a catalogue entry of a function whose docstring names the mistake, explains it, and gives a hint.

    The docstring's first paragraph is the title, a paragraph that begins with ``Hint:`` the hint, the rest explains.

    Args:
        target: ``module.function`` or ``module.class.method``; or ``module``, and then the definitions inside
            the function join that module; or ``answers.PART``, and then the function returns the verdict.
        fails: the names of the checks that must fail because of it; all others must not.
        may_fail: those near a threshold of accuracy, which processors decide differently.
    """
    return lambda function: _entry(function, target, Kind.MISCONCEPTION, fails, may_fail)


def equivalent(target: str, *, fails: Sequence[str] = ()) -> _Decorator:
    """Make a catalogue entry of a function whose docstring tells why it is right.

    Args:
        target: see ``misconception``.
        fails: checks of the bonus that it does not try for.
    """
    return lambda function: _entry(function, target, Kind.EQUIVALENT, fails)


def near_miss(target: str, *, guards: Sequence[str], fails: Sequence[str], may_fail: Sequence[str] = ()) -> _Decorator:
    """Make a catalogue entry of a function that is wrong by less than ten times a tolerance of a check.

    Nobody makes this mistake; it is what notices that a tolerance was weakened. Its docstring tells what is off.

    Args:
        target: see ``misconception``.
        guards: the tolerances of ``grader.checks.tolerances`` that it lies just beyond.
        fails: the names of the checks that must fail because of it; all others must not.
        may_fail: see ``misconception``.
    """
    return lambda function: _entry(function, target, Kind.NEAR_MISS, fails, may_fail, guards)


def _entry(
    function: Callable[..., Any],
    target: str,
    kind: Kind,
    fails: Sequence[str],
    may_fail: Sequence[str] = (),
    guards: Sequence[str] = (),
) -> Entry:
    file = function.__module__.rpartition(".")[2]
    title, explanation, hint = _words(function.__doc__ or "")
    if kind is not Kind.MISCONCEPTION:
        title, explanation = function.__name__.replace("_", " "), f"{title} {explanation}".strip()
    return Entry(
        id=f"{file}.{function.__name__}",
        target=target,
        kind=kind,
        title=title,
        explanation=explanation,
        hint=hint,
        fails=frozenset(fails),
        may_fail=frozenset(may_fail),
        guards=frozenset(guards),
        code=function() if target.startswith(f"{ANSWERS}.") else _replacement(function, target),
    )


def _words(docstring: str) -> tuple[str, str, str]:
    """Title, explanation and hint of a docstring; what is not there is empty."""
    paragraphs = [" ".join(text.split()) for text in re.split(r"\n\s*\n", docstring.strip())]
    hints = [text for text in paragraphs if text.startswith(_HINT)]
    rest = [text for text in paragraphs[1:] if text not in hints]
    return paragraphs[0], " ".join(rest), " ".join(hints).removeprefix(_HINT).strip()


def _replacement(function: Callable[..., Any], target: str) -> str:
    """The function's source under the target's name; a method is put into its class afterwards."""
    definition = _definition(function)
    _, *names = target.split(".")
    if not names:
        return "".join(f"\n\n{ast.unparse(part)}\n" for part in definition.body)
    *owner, name = names
    definition.name = f"_{name}" if owner else name
    code = ast.unparse(definition)
    if owner:
        wrapped = f"staticmethod(_{name})" if owner == ["STE"] else f"_{name}"
        code += f"\n\n\n{owner[0]}.{name} = {wrapped}"
    return f"\n\n{code}\n"


def _definition(function: Callable[..., Any]) -> ast.FunctionDef:
    """The syntax tree of a function, without its decorator and its docstring."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise CatalogueError(f"{function.__qualname__} is not a plain function")
    definition.decorator_list = []
    if ast.get_docstring(definition) is not None:
        definition.body = definition.body[1:]
    return definition


def all_entries() -> Iterator[Entry]:
    """Every entry, misconceptions, equivalents and near misses, in the order of the files."""
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        yield from (value for value in vars(module).values() if isinstance(value, Entry))


def entry(entry_id: str) -> Entry:
    """One entry.

    Raises:
        CatalogueError: there is none of that id.
    """
    found = next((e for e in all_entries() if e.id == entry_id), None)
    if found is None:
        raise CatalogueError(f"the catalogue has no entry {entry_id!r}")
    return found


def with_entries(files: Mapping[str, bytes], entries: Sequence[Entry]) -> dict[str, bytes]:
    """A submission's files with the functions and verdicts of ``entries`` in place of its own."""
    changed = dict(files)
    for item in entries:
        before = changed[item.file]
        if item.module == ANSWERS:
            changed[item.file] = _with_verdict(before.decode(), item).encode()
        else:
            changed[item.file] = before.rstrip(b"\n") + b"\n" + item.code.encode()
    return changed


def _with_verdict(answers: str, item: Entry) -> str:
    part = item.target.partition(".")[2]
    verdict = rf'(\["{re.escape(part)}"\].*?^verdict = )"\w*"'
    changed, count = re.subn(verdict, rf'\1"{item.code}"', answers, count=1, flags=re.DOTALL | re.MULTILINE)
    if not count:
        raise CatalogueError(f"{item.id}: {item.file} has no verdict of part {part}")
    return changed
