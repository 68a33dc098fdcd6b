"""What an honest probe's answer looks like: the types of its facts, the shapes of its arrays.

Checks rely on it, and a worker is the student's: whoever writes to the connection himself could otherwise make a check
raise, which would read as a fault of the grader. Which values are right is the checks' business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from grader.cases import Arrays
from grader.errors import CheckFailed

__all__ = ["require_form"]

Shape = tuple[int, ...]
_Int = Annotated[int, Field(ge=-(2**53), le=2**53)]
_Flag = bool | _Int
_Number = float | _Int
_Words = Annotated[str, StringConstraints(max_length=1000)]
_LINE = re.compile(r"\d+\.[xy]")
"""The data of a line of a figure."""


class _Facts(BaseModel):
    """Every fact of every probe. None is required here: a check that misses one says so."""

    model_config = ConfigDict(strict=True)

    # lab1: a reason why there are no losses, and a figure
    losses: str = ""
    yscale: str = ""
    xscale: str = ""
    xlabel: str = ""
    ylabel: str = ""
    legend: list[_Words] = []
    distinct: _Int = 0
    lines: _Int = 0
    # lab2: one value for each forward pass, and what is left of the network
    training: list[_Flag] = []
    images: list[_Int] = []
    gradients: list[_Flag] = []
    copies_training: list[_Flag] = []
    shortcut_zeros: list[_Int] = []
    training_after: _Flag = False
    grads: _Flag = False
    steps: _Int = 0
    same_parameter: _Flag = True
    same_parameters: _Flag = True
    accuracy: _Number = 0.0
    sparsity: dict[str, _Number] = {}
    # lab3
    dtype: str = ""
    device: str = ""
    has_grad: _Flag = False
    backward: str = ""
    bits: list[_Int] = []
    values: list[_Number] = []
    layers: list[str] = []


_NEEDED = {"lab1.function": ("value",), "lab1.solver": ("weights",), "lab1.losses": ("losses",)}


def require_form(
    probe: str, params: Mapping[str, Any], inputs: Arrays, facts: Mapping[str, Any], arrays: Arrays
) -> None:
    """Refuse an answer that this probe never gives.

    Raises:
        CheckFailed: a fact has another type, or an array another shape or dtype, or is missing.
    """
    try:
        told = _Facts.model_validate(dict(facts))
    except ValidationError as error:
        raise _nonsense(".".join(map(str, error.errors()[0]["loc"]))) from None
    for name, one, other in (("images", told.images, told.training), ("values", told.values, told.bits)):
        if name in facts and len(one) != len(other):
            raise _nonsense(name)
    for name in _NEEDED.get(probe, ()):
        if name not in arrays:
            raise _nonsense(name)
    known = {name: array.shape for name, array in inputs.items()} | dict(_shapes(probe, params, inputs))
    for name, array in arrays.items():
        kind = "i" if name.endswith("num_batches_tracked") else "f"
        expected = _expected(name, known, len(told.training) + 1)
        if array.dtype.kind != kind or array.shape != (array.shape if expected is None else expected):
            raise _nonsense(name)
        if _LINE.fullmatch(name) and (array.ndim != 1 or not array.size):
            raise _nonsense(name)


def _nonsense(name: str) -> CheckFailed:
    return CheckFailed(f"your code broke the process that runs it: its answer makes no sense ({name[:50]})")


def _shapes(probe: str, params: Mapping[str, Any], inputs: Arrays) -> Iterator[tuple[str, Shape]]:
    """The shapes of the arrays that a probe makes, besides those that go on from an input of the same name."""
    if probe == "lab1.function":
        yield "value", () if params["returns"] == "number" else inputs["w"].shape
    elif probe == "lab1.solver":
        yield "weights", (params["steps"] + 1, len(inputs["w0"]))
        yield "losses", (params["steps"] + 1,)
    elif probe == "lab1.losses":
        yield "losses", (len(inputs["weights"]),)
    elif probe == "lab2.ramp":
        yield "percentages", (len(params["epochs"]),)
    elif probe == "lab3.ste":
        yield from ((name, inputs["w"].shape) for name in ("wq", "grad"))
    elif probe == "lab3.layer":
        yield from ((f"{which}.y", tuple(params["output_shape"])) for which in ("first", "second"))
        yield from ((name, inputs["weight"].shape) for name in ("first.wq", "second.wq", "grad"))


def _expected(name: str, known: Mapping[str, Shape], snapshots: int) -> Shape | None:
    """The shape of one array; None where the probe does not fix it."""
    first, _, rest = name.partition(".")
    if name in known:
        return known[name]
    if first == "after":
        return known.get(rest, known.get(f"net.{rest}"))
    if first == "seen" and f"net.{rest}.weight" in known:
        return (snapshots, *known[f"net.{rest}.weight"])
    layer = rest.removesuffix(".weight")
    return known.get(f"net.{layer}.conv.weight", known.get(f"net.{layer}.linear.weight"))
