"""What the grader is proven with: mistakes that students make, and versions that are right in another way.

An entry is a function decorated with ``misconception`` or ``equivalent``; its source, renamed, is appended to
the reference's module, so that it replaces the function of the same name. It may use whatever that module
imports or defines. ``labN.py`` holds the misconceptions of a lab, ``equivalents_labN.py`` its equivalents.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from grader.errors import GraderError

__all__ = ["Entry", "all_entries", "entry", "equivalent", "misconception", "with_entries"]


@dataclass(frozen=True)
class Entry:
    """Another version of one function, wrong or right.

    Attributes:
        id: the catalogue's file and the function's name, such as ``lab1.factor_two_missing``.
        target: what it replaces, such as ``lab2_pruning.evaluate`` or ``FP_layers.STE.forward``; a module
            alone where several definitions belong together.
        title: what is wrong, for a student, or why it is right.
        fails: the checks that fail because of it; of a right one, those whose points are not its due.
        may_fail: further checks, whose outcome hangs on how well a training with the mistake turns out.
        code: what is appended to the target's module.
        right: whether it is an equivalent.
    """

    id: str
    target: str
    title: str
    fails: frozenset[str]
    may_fail: frozenset[str]
    code: str
    right: bool

    @property
    def file(self) -> str:
        """The file that it is appended to."""
        return f"{self.target.partition('.')[0]}.py"


def misconception(
    target: str, *, fails: Sequence[str], may_fail: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], Entry]:
    """Make a catalogue entry of a function whose docstring explains the mistake.

    Args:
        target: ``module.function`` or ``module.class.method``; or ``module``, and then the definitions inside
            the function join that module.
        fails: the names of the checks that must fail because of it.
        may_fail: those near a threshold of accuracy, which processors decide differently.
    """
    return lambda function: _entry(function, target, fails, may_fail, right=False)


def equivalent(target: str, *, fails: Sequence[str] = ()) -> Callable[[Callable[..., Any]], Entry]:
    """Make a catalogue entry of a function whose docstring tells why it is right.

    Args:
        target: see ``misconception``.
        fails: checks of the bonus that it does not try for.
    """
    return lambda function: _entry(function, target, fails, (), right=True)


def _entry(
    function: Callable[..., Any], target: str, fails: Sequence[str], may_fail: Sequence[str], *, right: bool
) -> Entry:
    file = function.__module__.rpartition(".")[2]
    return Entry(
        id=f"{file}.{function.__name__}",
        target=target,
        title=" ".join((function.__doc__ or function.__name__).split()),
        fails=frozenset(fails),
        may_fail=frozenset(may_fail),
        code=_replacement(function, target),
        right=right,
    )


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
        raise GraderError(f"{function.__qualname__} is not a plain function")
    definition.decorator_list = []
    if ast.get_docstring(definition) is not None:
        definition.body = definition.body[1:]
    return definition


def all_entries() -> Iterator[Entry]:
    """Every entry, misconceptions and equivalents, in the order of the files."""
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        yield from (value for value in vars(module).values() if isinstance(value, Entry))


def entry(entry_id: str) -> Entry:
    """One entry.

    Raises:
        GraderError: there is none of that id.
    """
    found = next((e for e in all_entries() if e.id == entry_id), None)
    if found is None:
        raise GraderError(f"the catalogue has no entry {entry_id!r}")
    return found


def with_entries(files: dict[str, bytes], entries: Sequence[Entry]) -> dict[str, bytes]:
    """A submission's files with the functions of ``entries`` in place of its own."""
    changed = dict(files)
    for item in entries:
        changed[item.file] = changed[item.file].rstrip(b"\n") + b"\n" + item.code.encode()
    return changed
