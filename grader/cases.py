"""Cases: what is asked of a student's function, and what the reference answered.

A folder of cases holds ``cases.json`` (what to call, with which parameters) and ``arrays.safetensors`` (inputs,
goldens, and larger arrays that several cases share).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from safetensors.numpy import load_file, save

from grader.errors import InternalError

__all__ = ["Arrays", "Case", "CaseSet", "load_cases", "save_cases"]

Arrays = dict[str, NDArray[Any]]


class Case(BaseModel):
    """One question to a submission.

    ``inputs`` and ``expected`` are arrays by name, ``shared`` maps a prefix of input names to a prefix of the set's
    shared arrays, and ``facts`` are the reference's answers that are not arrays.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    id: str
    probe: str
    module: str
    params: Mapping[str, Any]
    shared: Mapping[str, str] = {}
    inputs: Arrays = {}
    expected: Arrays = {}
    facts: Mapping[str, Any] = {}


class CaseSet:
    """Cases by id, with the arrays that they share.

    Args:
        cases: in the order in which they are asked.
        shared: arrays by name, such as ``net.head_conv.0.conv.weight`` or ``test.images``.
        key: what the goldens were made from; see ``grader.oracle``.
    """

    def __init__(self, cases: Mapping[str, Case], shared: Arrays, key: str = "") -> None:
        self.cases = dict(cases)
        self.shared = shared
        self.key = key

    def matching(self, prefix: str) -> list[Case]:
        """The cases whose id is ``prefix`` or lies below it.

        Raises:
            InternalError: there is none, which would let a check pass without looking at anything.
        """
        found = [c for name, c in self.cases.items() if name == prefix or name.startswith(prefix + "/")]
        if not found:
            raise InternalError(f"there is no case {prefix}: run `grader fixtures build`")
        return found

    def group(self, prefix: str) -> Arrays:
        """The shared arrays below ``prefix``, without it."""
        return {n.removeprefix(prefix): a for n, a in self.shared.items() if n.startswith(prefix)}

    def inputs(self, case: Case) -> Arrays:
        """All arrays that the probe of ``case`` is given."""
        arrays = dict(case.inputs)
        for target, source in case.shared.items():
            arrays |= {target + name: array for name, array in self.group(source).items()}
        return arrays


def save_cases(folder: Path, cases: CaseSet) -> None:
    """Write a set; the same set gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"shared:{name}": array for name, array in cases.shared.items()}
    for case in cases.cases.values():
        arrays |= {f"in:{case.id}:{name}": array for name, array in case.inputs.items()}
        arrays |= {f"out:{case.id}:{name}": array for name, array in case.expected.items()}
    listed = [c.model_dump(exclude={"inputs", "expected"}) for c in cases.cases.values()]
    text = json.dumps({"key": cases.key, "cases": listed}, indent=1, ensure_ascii=False) + "\n"
    (folder / "cases.json").write_text(text, encoding="utf-8", newline="\n")
    data = save({name: np.array(a, order="C") for name, a in sorted(arrays.items())})
    (folder / "arrays.safetensors").write_bytes(data)


def load_cases(folder: Path) -> CaseSet:
    """Read a set.

    Raises:
        InternalError: the folder or one of its files is missing or damaged.
    """
    try:
        data = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / "arrays.safetensors")
        cases = {item["id"]: Case.model_validate(item | _own_arrays(item["id"], arrays)) for item in data["cases"]}
    except Exception as error:  # whatever is wrong with our own files, the remedy is the same
        raise InternalError(f"the goldens in {folder} cannot be read ({error}): run `grader fixtures build`") from None
    shared = {n.removeprefix("shared:"): a for n, a in arrays.items() if n.startswith("shared:")}
    return CaseSet(cases, shared, data["key"])


def _own_arrays(case_id: str, arrays: Arrays) -> dict[str, Arrays]:
    found: dict[str, Arrays] = {}
    for field, prefix in (("inputs", f"in:{case_id}:"), ("expected", f"out:{case_id}:")):
        found[field] = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    return found
