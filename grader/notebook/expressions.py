"""Which expressions may become part of a submission: cheap ones that touch nothing but values."""

from __future__ import annotations

import ast
import builtins
import math
from collections import ChainMap
from collections.abc import MutableMapping

__all__ = ["METHODS", "OWN_CLASS", "full_name", "is_simple", "may_call"]

_DISPLAY = ast.Constant | ast.Dict | ast.FormattedValue | ast.JoinedStr | ast.List | ast.Set | ast.Tuple
_OPERATION = ast.BinOp | ast.BoolOp | ast.Compare | ast.IfExp | ast.UnaryOp
_COMPREHENSION = ast.DictComp | ast.GeneratorExp | ast.ListComp | ast.SetComp
_ACCESS = ast.Attribute | ast.Slice | ast.Starred | ast.Subscript | ast.keyword

_CALLS = {
    "argparse": "Namespace",
    "builtins": "abs bool classmethod dict float frozenset int len list max min property range round set sorted "
    "staticmethod str sum tuple zip",
    "collections": "OrderedDict defaultdict namedtuple",
    "functools": "partial",
    "math": " ".join(vars(math)),
    "numpy": "arange array asarray eye finfo float32 float64 full iinfo linspace ones ones_like sqrt vectorize zeros "
    "zeros_like",
    "numpy.random": "RandomState default_rng",
    "os.path": "join",
    "pathlib": "Path",
    "torch": "arange device eye finfo from_numpy full iinfo linspace ones ones_like tensor zeros zeros_like",
    "torch.amp": "GradScaler",
    "torch.backends.mps": "is_available",
    "torch.cuda": "device_count is_available",
    "torch.cuda.amp": "GradScaler",
    "torch.nn": "CrossEntropyLoss MSELoss",
    "types": "SimpleNamespace",
    "typing": "NamedTuple TypeVar",
}
"""The calls that a constant may make, by module."""
_FUNCTIONS = frozenset(f"{module}.{name}" for module, names in _CALLS.items() for name in names.split())
METHODS = "astype copy cpu cuda double flatten float numpy ravel reshape to transpose view"
"""The methods of values that a constant may call."""
OWN_CLASS = "<class>"
"""In place of the full name: a class of the notebook that only holds values."""


def is_simple(node: ast.AST, known: MutableMapping[str, str]) -> bool:
    """Whether evaluating this expression is cheap and touches nothing but values.

    ``known`` holds the names bound so far: with the full name of what is imported ("numpy.array"), with OWN_CLASS, or
    else ''.
    """
    match node:
        case ast.Name(id=name):
            return name in known or _is_builtin(name)
        case ast.Lambda(args=args):
            parts: list[ast.AST] = [*args.defaults, *filter(None, args.kw_defaults)]
        case ast.Call(func=func, args=args, keywords=keywords):
            if not may_call(func, known):
                return False
            parts = [*args, *keywords]
        case _ if isinstance(node, _COMPREHENSION):
            known = ChainMap({name: "" for loop in node.generators for name in _stored(loop.target)}, known)
            parts = [part for loop in node.generators for part in (loop.iter, *loop.ifs)]
            parts += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        case _:
            if not isinstance(node, _DISPLAY | _OPERATION | _ACCESS):
                return False
            parts = [n for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr | ast.keyword)]
    return all(is_simple(part, known) for part in parts)


def _stored(target: ast.expr) -> list[str]:
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]


def may_call(func: ast.expr, known: MutableMapping[str, str]) -> bool:
    """Whether a call of this is cheap and touches nothing but values."""
    path = full_name(func, known)
    if path:  # shutil.copy is not a method of a value: what is imported must be on the list
        return path in _FUNCTIONS or path == OWN_CLASS
    return isinstance(func, ast.Attribute) and func.attr in METHODS.split() and is_simple(func.value, known)


def full_name(node: ast.expr, known: MutableMapping[str, str]) -> str:
    """The full name of what is imported or built in ("numpy.array"), OWN_CLASS, and '' for everything else."""
    if isinstance(node, ast.Attribute):
        path = full_name(node.value, known)
        return f"{path}.{node.attr}" if path not in ("", OWN_CLASS) else ""
    if not isinstance(node, ast.Name):
        return ""
    return known.get(node.id, f"builtins.{node.id}" if _is_builtin(node.id) else "")


def _is_builtin(name: str) -> bool:
    return hasattr(builtins, name) and not name.startswith("_")
