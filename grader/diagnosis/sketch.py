"""Sketches: a few numbers that stand for an answer, so that outputs of many mistakes fit into a student's kit.

An answer falls apart into *groups*: each fact is one (``fact:bits``), and so are the arrays whose names share what
stands before the first dot (``net``). The sketch of a group keeps its names, shapes and exact values in words, counts
what is zero or not finite, and keeps projections of all its numbers on a few fixed waves: two arrays that differ
visibly anywhere differ in a projection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grader.errors import CheckFailed
from grader.session import Answer

__all__ = ["ABSENT", "FACT", "FAILURE", "Sketch", "agree", "group_of", "sketch_answer"]

FAILURE = "failure"
"""The only group of a case without a usable answer."""
FACT = "fact:"
"""What the groups of facts begin with."""

_FREQUENCIES = np.sqrt(np.array([2.0, 3.0, 5.0, 7.0, 11.0, 13.0]))
_MOST_VALUES = 64
_MOST_NUMBERS = 2_000_000  # the largest honest answer has some 300,000
_KEPT_WAVES = 1 << 19
_MOST_ARRAYS = 1_000
_MOST_WORDS = 2_000
_DEEPEST = 8
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class Sketch:
    """The sketch of one group.

    ``words`` and ``counts`` must be the same for two sketches to agree; ``scale`` agrees within a relative tolerance,
    ``values``, which are of shapes and logarithms of sizes, within an absolute one.
    """

    words: str
    counts: tuple[int, ...] = ()
    scale: float = 0.0
    values: tuple[float, ...] = ()


ABSENT = Sketch("absent")
"""The sketch of a group that an answer does not have."""


def agree(a: Sketch, b: Sketch, tolerance: float) -> bool:
    """Whether two sketches may be of the same output, up to a relative ``tolerance``."""
    if a.words != b.words or a.counts != b.counts or len(a.values) != len(b.values):
        return False
    if abs(a.scale - b.scale) > tolerance * max(a.scale, b.scale):
        return False
    return all(abs(x - y) <= tolerance for x, y in zip(a.values, b.values, strict=True))


def group_of(name: str) -> str:
    """The group of an array of this name."""
    return name.partition(".")[0]


class _Lazy(Mapping[str, Sketch]):
    """Sketches by group, each made when it is first looked at: most hypotheses are refuted by a few of them."""

    def __init__(self, makers: Mapping[str, Callable[[], Sketch]]) -> None:
        self._makers = makers
        self._made: dict[str, Sketch] = {}

    def __getitem__(self, group: str) -> Sketch:
        if group not in self._made:
            self._made[group] = self._makers[group]()
        return self._made[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def sketch_answer(answer: Answer | CheckFailed) -> Mapping[str, Sketch]:
    """The sketches of an answer by group; of a failure, what it says."""
    if isinstance(answer, CheckFailed):
        return {FAILURE: Sketch(_ADDRESS.sub("0x", answer.message))}
    if len(answer.arrays) + len(answer.facts) > _MOST_ARRAYS or _size(answer) > _MOST_NUMBERS:
        return {FAILURE: Sketch("larger than any answer")}
    groups: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in sorted(answer.arrays.items()):
        groups.setdefault(group_of(name), {})[name] = array
    makers: dict[str, Callable[[], Sketch]] = {
        group: partial(_sketch_arrays, arrays) for group, arrays in groups.items()
    }
    return _Lazy(makers | {f"{FACT}{name}": partial(_sketch_fact, value) for name, value in answer.facts.items()})


def _size(answer: Answer) -> int:
    return sum(array.size for array in answer.arrays.values())


def _sketch_arrays(arrays: Mapping[str, NDArray[Any]]) -> Sketch:
    words = "; ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items())
    return _sketch_numbers(words, [np.ravel(array).astype(np.float64) for array in arrays.values()])


def _sketch_numbers(words: str, parts: list[NDArray[np.float64]]) -> Sketch:
    """Each part is scaled on its own, and its size enters by its logarithm: small arrays show beside large ones."""
    counts = (sum(int((part == 0).sum()) for part in parts), sum(int((~np.isfinite(part)).sum()) for part in parts))
    finite = [np.where(np.isfinite(part), part, 0.0) for part in parts]
    scales = np.array([np.abs(part).max(initial=0.0) for part in finite])
    scale = float(scales.max(initial=0.0))
    if scale == 0:
        return Sketch(words, counts)
    shapes = np.concatenate([part / (own or 1.0) for part, own in zip(finite, scales, strict=True)])
    sizes = np.log(np.where(scales > 0, scales, 1.0))
    return Sketch(words, counts, scale, (*_project(shapes), *_project(sizes)))


def _project(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    count = len(numbers)
    make = _waves if count <= _KEPT_WAVES else _waves.__wrapped__
    waves = make(1 << (count - 1).bit_length())
    return tuple(float(wave[:count] @ numbers / np.sqrt(count)) for wave in waves)


@lru_cache(maxsize=20)
def _waves(count: int) -> tuple[NDArray[np.float64], ...]:
    """The first ``count`` values of each wave; answers of all submissions have the same few sizes."""
    places = np.arange(1, count + 1)
    return tuple(np.cos(frequency * places) for frequency in _FREQUENCIES)


def _sketch_fact(value: Any) -> Sketch:
    """The value in words, with its fractions apart: those agree up to rounding, everything else exactly."""
    fractions: list[float] = []
    words = "".join(islice(_spell(value, fractions), _MOST_WORDS))[:_MOST_WORDS]
    if len(fractions) > _MOST_VALUES:
        return _sketch_numbers(words, [np.array(fractions)])
    scale = float(np.abs(fractions).max(initial=0.0))
    return Sketch(words, (), scale, tuple(v / scale if scale else v for v in fractions))


def _spell(value: Any, fractions: list[float], depth: int = 0) -> Iterable[str]:
    if depth > _DEEPEST:
        yield "deeper than any answer"
    elif isinstance(value, float) and np.isfinite(value):
        fractions.append(value)
        yield "#"
    elif isinstance(value, Mapping):
        for name in sorted(value, key=str):
            yield f"{name}:"
            yield from _spell(value[name], fractions, depth + 1)
    elif isinstance(value, (list, tuple)):
        yield "["
        for item in value:
            yield from _spell(item, fractions, depth + 1)
            yield ","
        yield "]"
    elif isinstance(value, str):
        yield _ADDRESS.sub("0x", repr(value[:200]))
    else:
        yield repr(value)
