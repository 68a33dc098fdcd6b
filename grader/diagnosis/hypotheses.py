"""Hypotheses: known mistakes, one or two at once, and what they answer to each case where that is not right."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from grader.diagnosis.sketch import ABSENT, Sketch, agree
from grader.errors import InternalError

__all__ = [
    "Hypotheses",
    "Hypothesis",
    "Mistake",
    "Sketches",
    "differs",
    "footprint",
    "load_hypotheses",
    "save_hypotheses",
    "tolerance_of",
]

Sketches = Mapping[str, Mapping[str, Sketch]]
"""Sketches by case id and group."""

_NAME = "mistakes"


@dataclass(frozen=True)
class Mistake:
    """What a student is told about a misconception.

    ``probed_by`` are the beginnings of the ids of the cases that ask the functions that it replaces.
    """

    id: str
    title: str
    explanation: str
    hint: str
    probed_by: tuple[str, ...]


@dataclass(frozen=True)
class Hypothesis:
    """The supposition that a submission has exactly these mistakes.

    ``footprint`` holds the groups that come out otherwise than right because of them.
    """

    mistakes: tuple[Mistake, ...]
    footprint: Sketches

    @property
    def ids(self) -> tuple[str, ...]:
        """The mistakes' ids."""
        return tuple(mistake.id for mistake in self.mistakes)

    def probes(self, case_id: str) -> bool:
        """Whether a case asks a function that one of the mistakes replaces, and not one that builds on it."""
        return any(case_id.startswith(prefix) for mistake in self.mistakes for prefix in mistake.probed_by)


@dataclass(frozen=True)
class Hypotheses:
    """What right code answers to every case, and every hypothesis; empty where no goldens were made for a term."""

    right: Sketches = field(default_factory=dict)
    alternatives: tuple[Hypothesis, ...] = ()


def tolerance_of(case_id: str) -> float:
    """Relative: what rounding does to an output of float64, of float32, and of a training in float32.

    Processors round differently, and a training amplifies it; a mistake that changes a training by less goes unnamed.
    """
    if case_id.startswith("lab1/"):
        return 1e-10
    trained = ("lab2/finetune", "lab2/iterative", "lab3/finetune_quantized")
    return 1e-4 if case_id.startswith(trained) else 1e-6


def differs(found: Sketch, right: Sketch, case_id: str, times: float = 10) -> bool:
    """Whether a group comes out clearly otherwise than right: by ``times`` what rounding does."""
    return not agree(found, right, times * tolerance_of(case_id))


def footprint(right: Sketches, found: Sketches) -> Sketches:
    """The groups of ``found`` that are not the right ones, be the difference ever so slight."""
    differing: dict[str, dict[str, Sketch]] = {}
    for case_id, groups in found.items():
        known = right[case_id]
        every = {**dict.fromkeys(known, ABSENT), **groups}
        if changed := {g: s for g, s in every.items() if differs(s, known.get(g, ABSENT), case_id, times=0.1)}:
            differing[case_id] = changed
    return differing


def save_hypotheses(folder: Path, hypotheses: Hypotheses) -> None:
    """Write ``mistakes.json`` and ``mistakes.safetensors``; the same hypotheses give the same bytes."""
    table = _Table()
    listed = {
        "right": table.of(hypotheses.right),
        "mistakes": [vars(m) for m in _mistakes(hypotheses.alternatives)],
        "hypotheses": [{"ids": h.ids, "footprint": table.of(h.footprint)} for h in hypotheses.alternatives],
        "words": table.words,
    }
    text = json.dumps(listed, indent=None, ensure_ascii=False, separators=(",", ":"))
    (folder / f"{_NAME}.json").write_text(text.replace('{"ids"', '\n{"ids"') + "\n", encoding="utf-8", newline="\n")
    (folder / f"{_NAME}.safetensors").write_bytes(save(table.arrays()))


def _mistakes(alternatives: Iterable[Hypothesis]) -> list[Mistake]:
    found = {mistake.id: mistake for h in alternatives for mistake in h.mistakes}
    return [found[name] for name in sorted(found)]


class _Table:
    """Sketches as rows of one matrix; equal ones share a row."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._numbers: list[float] = []
        self._starts: list[int] = [0]
        self._rows: dict[Sketch, int] = {}
        self._word_rows: dict[str, int] = {}
        self._word_of: list[int] = []

    def of(self, sketches: Sketches) -> dict[str, dict[str, int]]:
        return {case: {g: self._row(s) for g, s in sorted(groups.items())} for case, groups in sketches.items()}

    def _row(self, sketch: Sketch) -> int:
        if sketch not in self._rows:
            self._rows[sketch] = len(self._rows)
            if sketch.words not in self._word_rows:
                self._word_rows[sketch.words] = len(self.words)
                self.words.append(sketch.words)
            self._word_of.append(self._word_rows[sketch.words])
            counts = [float(c) for c in (*sketch.counts, *[-1] * (2 - len(sketch.counts)))]
            self._numbers += [*counts, sketch.scale, *sketch.values]
            self._starts.append(len(self._numbers))
        return self._rows[sketch]

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "numbers": np.array(self._numbers, dtype=np.float64),
            "starts": np.array(self._starts, dtype=np.int64),
            "words": np.array(self._word_of, dtype=np.int64),
        }


def load_hypotheses(folder: Path) -> Hypotheses:
    """Read what ``save_hypotheses`` wrote; none where the folder has none.

    Raises:
        InternalError: the files are damaged.
    """
    path = folder / f"{_NAME}.json"
    if not path.is_file():
        return Hypotheses()
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        sketches = list(_sketches(load_file(folder / f"{_NAME}.safetensors"), listed["words"]))
        known = {item["id"]: Mistake(**item | {"probed_by": tuple(item["probed_by"])}) for item in listed["mistakes"]}
        alternatives = tuple(
            Hypothesis(tuple(known[name] for name in item["ids"]), _resolved(item["footprint"], sketches))
            for item in listed["hypotheses"]
        )
        return Hypotheses(_resolved(listed["right"], sketches), alternatives)
    except Exception as error:  # whatever is wrong with our own files, the remedy is the same
        raise InternalError(f"{path} cannot be read ({error}): run `grader fixtures build`") from None


def _sketches(arrays: Mapping[str, np.ndarray], words: list[str]) -> Iterable[Sketch]:
    starts = arrays["starts"].tolist()
    numbers = arrays["numbers"].tolist()
    for row, word in enumerate(arrays["words"].tolist()):
        zeros, infinite, scale, *values = numbers[starts[row] : starts[row + 1]]
        counts = tuple(int(count) for count in (zeros, infinite) if count >= 0)
        yield Sketch(words[word], counts, scale, tuple(values))


def _resolved(rows: Mapping[str, Mapping[str, Any]], sketches: list[Sketch]) -> Sketches:
    return {case: {group: sketches[row] for group, row in groups.items()} for case, groups in rows.items()}
