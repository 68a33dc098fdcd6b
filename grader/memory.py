"""An interview that remembers: the same question to the same code is asked once.

For ``grader verify`` and the goldens of mistakes, which grade hundreds of submissions that differ in one function.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from grader.assignment import Limits
from grader.cases import Arrays
from grader.errors import CheckFailed
from grader.interview import Interview
from grader.worker.sandbox.policy import Policy

__all__ = ["Memory", "labs_that_reach"]

Reply = tuple[Mapping[str, Any], Arrays]

_ROOTS = {
    "lab1": ("lab1_sparse_optimization",),
    "lab2": ("lab2_pruning", "resnet20"),
    "lab3": ("FP_layers", "lab3_quantization", "resnet20"),
}
"""The modules that the probes of a lab import."""
_BITS = b"Nbits"
"""The option with which the provided network imports FP_layers.py; no probe of Lab 2 gives it."""


class Memory:
    """Replies by what they depend on: the question, and the files that it can reach by import statements.

    Modules that are loaded in another way, by ``importlib`` or as files, are not seen: it is for our own submissions.

    Args:
        most_bytes: arrays beyond this are forgotten, the longest unused first.
    """

    def __init__(self, most_bytes: int = 400 * 2**20) -> None:
        self._replies: OrderedDict[str, Reply | CheckFailed] = OrderedDict()
        self._free = most_bytes

    def interview(
        self,
        scratch: Path,
        limits: Limits,
        uses_accelerator: bool = False,
        method: str | None = None,
        *,
        isolation: Policy | None = None,
    ) -> Interview:
        """An interview with the submission in ``scratch``; see ``grader.interview.Interview``."""
        return _Remembering(self, scratch, limits, uses_accelerator, method, isolation)

    def get(self, key: str) -> Reply | CheckFailed | None:
        """What is remembered under ``key``."""
        if key in self._replies:
            self._replies.move_to_end(key)
        return self._replies.get(key)

    def put(self, key: str, reply: Reply | CheckFailed) -> None:
        """Remember a reply."""
        self._replies[key] = reply
        self._free -= _size(reply)
        while self._free < 0 and len(self._replies) > 1:
            self._free += _size(self._replies.popitem(last=False)[1])


def _size(reply: Reply | CheckFailed) -> int:
    return 1000 if isinstance(reply, CheckFailed) else 1000 + sum(array.nbytes for array in reply[1].values())


class _Remembering(Interview):
    def __init__(
        self,
        memory: Memory,
        scratch: Path,
        limits: Limits,
        uses_accelerator: bool,
        method: str | None,
        isolation: Policy | None,
    ) -> None:
        super().__init__(scratch, limits, uses_accelerator, method, isolation=isolation)
        self._memory = memory
        self._files = {path.stem: path.read_bytes() for path in sorted(scratch.glob("*.py"))}
        self._reached: dict[str, str] = {}

    def ask(self, probe: str, params: Mapping[str, Any], arrays: Arrays) -> Reply:
        key = self._key(probe, params, arrays)
        known = self._memory.get(key)
        if known is None:
            if refusal := self.refusal(probe, params):  # it says nothing about the code that it would be remembered for
                raise refusal
            try:
                known = super().ask(probe, params, arrays)
            except CheckFailed as failure:
                known = failure
            self._memory.put(key, known)
        if isinstance(known, CheckFailed):
            raise known.again()
        return known

    def _key(self, probe: str, params: Mapping[str, Any], arrays: Arrays) -> str:
        digest = hashlib.sha256(json.dumps([probe, params], sort_keys=True).encode())
        digest.update(self._code(probe.partition(".")[0], params.get("module", "")).encode())
        for name, array in sorted(arrays.items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    def _code(self, lab: str, module: str) -> str:
        """A digest of every file that a probe of ``lab``, or of ``module``, can reach."""
        name = module or lab
        if name not in self._reached:
            digest = hashlib.sha256()
            for stem in sorted(_closure((module,), self._files) if module else _reach(lab, self._files)):
                digest.update(stem.encode() + self._files[stem])
            self._reached[name] = digest.hexdigest()
        return self._reached[name]


def labs_that_reach(module: str, files: Mapping[str, bytes]) -> set[str]:
    """The labs whose probes can come across a module, given the submission's code by module."""
    return {lab for lab in _ROOTS if module in _reach(lab, files)}


def _reach(lab: str, files: Mapping[str, bytes]) -> set[str]:
    """Every module that the probes of a lab can come across."""
    if lab == "lab2":
        own = set(_closure({"lab2_pruning"}, files))
        if not any(_BITS in files[module] for module in own):
            return own | ({"resnet20"} & files.keys())
    return set(_closure(_ROOTS[lab], files))


def _closure(roots: Iterable[str], files: Mapping[str, bytes]) -> Iterator[str]:
    """The modules among ``files`` that importing ``roots`` can import in turn."""
    waiting = [root for root in roots if root in files]
    known: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in known:
            continue
        known.add(module)
        yield module
        waiting += [name for name in _imports(files[module]) if name in files]


@lru_cache(maxsize=256)
def _imports(source: bytes) -> frozenset[str]:
    found: set[str] = set()
    try:
        tree = ast.parse(source)
    except SyntaxError:  # it imports nothing, then
        return frozenset()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return frozenset(found)
