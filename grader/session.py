"""One submission being graded: asks its workers, remembers answers, and turns every failure into the right outcome."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from grader.assignment import Assignment, Limits
from grader.cases import Arrays, Case, CaseSet
from grader.errors import CheckFailed, CheckTimedOut, InternalError
from grader.forms import require_form
from grader.worker.host import Worker, WorkerLost
from grader.worker.sandbox.policy import Policy, Status
from grader.written import Written

__all__ = ["Answer", "Evaluator", "Interview", "InterviewFactory", "Seen", "Session", "answer_case", "verdict_answer"]

_Value = TypeVar("_Value")


class _Noted(Mapping[str, _Value]):
    """A mapping that notes which of its names were looked at, absent ones too, and ``*`` where all were."""

    def __init__(self, values: Mapping[str, _Value], noted: set[str]) -> None:
        self._values = values
        self._noted = noted

    def __getitem__(self, name: str) -> _Value:
        self._noted.add(name)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        self._noted.add(str(name))
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        self._noted.add("*")
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class Seen:
    """What one check looked at in the answer to one case: names of facts and of arrays, ``*`` for all."""

    facts: set[str] = field(default_factory=set)
    arrays: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Answer:
    """What a student's function returned for a case, as plain values and plain numpy arrays."""

    case: Case
    inputs: Arrays
    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    def array(self, name: str) -> NDArray[Any]:
        """One of the arrays.

        Raises:
            CheckFailed: it is missing, which no probe of ours does.
        """
        if name not in self.arrays:
            raise CheckFailed(f"the worker's answer lacks {name}")
        return self.arrays[name]

    def fact(self, name: str) -> Any:
        """One of the facts; see ``array``."""
        if name not in self.facts:
            raise CheckFailed(f"the worker's answer lacks {name}")
        return self.facts[name]


class Interview:
    """Questions to one staged submission; a worker that is lost is replaced, its question stays lost.

    Args:
        scratch: the directory of the staged submission.
        limits: deadlines and restarts.
        uses_accelerator: whether the submission mentions a GPU.
        method: start method of the workers; None for the platform's best.
        isolation: what the sandbox should consist of; None for everything that the machine offers.
    """

    def __init__(
        self,
        scratch: Path,
        limits: Limits,
        uses_accelerator: bool = False,
        method: str | None = None,
        *,
        isolation: Policy | None = None,
    ) -> None:
        self._scratch = scratch
        self._isolation = isolation
        self._sandbox: Status | None = None
        self._limits = limits
        self._uses_accelerator = uses_accelerator
        self._method = method
        self._worker: Worker | None = None
        self._restarts = 0
        self._seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def sandbox(self) -> Status | None:
        """Which layers confine the workers; None before the first question."""
        return self._sandbox

    def begin(self) -> Status:
        """Start a worker if there is none, and say which layers confine it.

        Raises:
            InternalError: no process could be started.
        """
        self._sandbox = self._ready().status
        return self._sandbox

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    @property
    def is_spent(self) -> bool:
        """Whether every further question is refused untried: too many processes died, or the time is used up."""
        return self._seconds > self._limits.submission_seconds or self._restarts > self._limits.restarts

    def ask(self, probe: str, params: Mapping[str, Any], arrays: Arrays) -> tuple[Mapping[str, Any], Arrays]:
        """Facts and arrays of one probe.

        Raises:
            CheckFailed: the student's code has no usable answer.
            CheckTimedOut: it has none before the deadline.
            InternalError: no process could be started.
        """
        if self._seconds > self._limits.submission_seconds:
            raise CheckTimedOut(f"this submission has used up its {self._limits.submission_seconds:g} seconds")
        if self._restarts > self._limits.restarts:
            raise CheckFailed(f"its processes died {self._restarts} times before this check, so it was not tried")
        self.begin()
        worker = self._ready()
        started = time.monotonic()
        try:
            reply = worker.ask({"probe": probe, "params": params}, arrays, self._limits.probe_seconds)
        except WorkerLost as lost:
            self._worker = None
            self._restarts += 1
            raise _lost(lost) from None
        finally:
            self._seconds += time.monotonic() - started
        return _unpack(reply.header, dict(reply.arrays))

    def _ready(self) -> Worker:
        if self._worker is None:
            self._worker = Worker(
                self._scratch,
                uses_accelerator=self._uses_accelerator,
                method=self._method,
                isolation=self._isolation,
            )
        return self._worker


def _lost(lost: WorkerLost) -> CheckFailed:
    if lost.kind == "timeout":
        return CheckTimedOut(f"your code did not finish: {lost.message}", advice="Look for a loop that never ends.")
    return CheckFailed(f"your code broke the process that runs it: {lost.message}")


def _unpack(header: Mapping[str, Any], arrays: Arrays) -> tuple[Mapping[str, Any], Arrays]:
    """The answer in a reply; nothing in it is trusted to have the right type."""
    status, facts = header.get("status"), header.get("facts")
    if status == "ok" and isinstance(facts, dict):
        return facts, arrays
    message = str(header.get("message", "no message"))[:2000]
    if status == "failed":
        frames = header.get("frames")
        trace = "\n".join(str(frame)[:300] for frame in frames[:8]) if isinstance(frames, list) else ""
        raise CheckFailed(message, received=trace or None)
    raise CheckFailed("your code broke the process that runs it: its answer makes no sense")


def answer_case(interview: Interview, case: Case, inputs: Arrays) -> Answer:
    """Ask a case with all its inputs; see ``Interview.ask`` for what is raised."""
    facts, arrays = interview.ask(case.probe, case.params, inputs)
    return Answer(case, inputs, facts, arrays)


def verdict_answer(part: str, written: Written) -> Answer:
    """The verdict of a part of problem 1, in the form of an answer."""
    case = Case(id=f"answers/{part}", probe="", module="", params={})
    return Answer(case, {}, {"verdict": written.text(part, "verdict").lower()}, {})


InterviewFactory = Callable[..., Interview]
"""Makes an Interview from its arguments; ``grader verify`` has one that remembers."""


_MOST_MEASURED = 10_000


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


class Evaluator:
    """Measures accuracy: loads plain weights into the provided network, in a worker that never sees student code.

    The labels do not leave this process.
    """

    def __init__(
        self,
        pristine: Path,
        limits: Limits,
        shared: CaseSet,
        interview: InterviewFactory = Interview,
        isolation: Policy | None = None,
    ) -> None:
        # It measures for every submission of a class, so what one submission may take is no limit for it.
        endless = limits.model_copy(update={"submission_seconds": math.inf})
        policy = replace(isolation or Policy(), cpu_seconds=None)
        self._interview = interview(pristine, endless, isolation=policy)
        self._images = shared.shared["test.images"]
        self._labels = shared.shared["test.labels"]
        self._network = shared.group("net.")
        self._params = {"net": {"num_layers": 8, "width": len(self._network["head_conv.0.conv.weight"])}}
        self._measured: dict[str, float] = {}
        self._baseline: float | None = None

    def close(self) -> None:
        """End the worker."""
        self._interview.close()

    @property
    def sandbox(self) -> Status:
        """Which layers confine its worker, and so any worker of this machine."""
        return self._interview.begin()

    @property
    def baseline(self) -> float:
        """The accuracy of the float network, a fraction."""
        if self._baseline is None:
            self._baseline = self.accuracy({})
        return self._baseline

    def accuracy(self, changed: Arrays) -> float:
        """The accuracy, a fraction, of the tiny network with ``changed`` in place of its own arrays.

        Raises:
            CheckFailed: an array is unknown to the network, or has another shape, or holds NaN.
        """
        state = dict(self._network)
        for name, array in changed.items():
            if name not in state or state[name].shape != array.shape:
                raise CheckFailed(f"{name} is not a parameter of the network, or has another shape than before")
            if not np.isfinite(array).all():
                raise CheckFailed(f"{name} holds NaN or infinite values")
            state[name] = array.astype(state[name].dtype)
        arrays = {f"net.{name}": array for name, array in state.items()}
        digest = _digest(arrays)  # what many submissions come to is measured once
        if digest not in self._measured:
            if len(self._measured) >= _MOST_MEASURED:
                self._measured.clear()
            self._measured[digest] = self._measure(arrays)
        return self._measured[digest]

    def _measure(self, arrays: Arrays) -> float:
        try:
            _, answer = self._interview.ask("lab2.logits", self._params, {**arrays, "images": self._images})
        except CheckFailed as failure:  # no student code ran
            raise InternalError(f"the evaluation failed: {failure.message}") from None
        return float((answer["logits"].argmax(axis=1) == self._labels).mean())


class Session:
    """What the checks see: the term, the answers of one submission, and how to measure a network.

    Args:
        assignment: the rubric.
        interview: the submission's workers.
        public, hidden: the cases; hidden ones exist only in the instructor's checkout.
        evaluator: measures accuracy.
        written: the parsed answers.toml, or why there is none.
    """

    def __init__(
        self,
        assignment: Assignment,
        interview: Interview,
        public: CaseSet,
        hidden: CaseSet | None,
        evaluator: Evaluator,
        written: Written,
    ) -> None:
        self.term = assignment.term
        self.quick = assignment.quick
        self.written = written
        self.evaluator = evaluator
        self._interview = interview
        self._public = public
        self._hidden = hidden
        self._answers: dict[str, Answer | CheckFailed] = {}
        self._hidden_answers: dict[str, Answer | CheckFailed] = {}
        self._loads: dict[str, CheckFailed | None] = {}
        self._check = ""
        self.seen: dict[str, dict[tuple[bool, str], Seen]] = {}
        """By check, what it looked at in the answers to the cases (hidden or not, id) that it asked."""

    def begin(self, check: str) -> None:
        """Note what is looked at from now on as seen by ``check``."""
        self._check = check
        self.seen[check] = {}

    def answers(self, *, hidden: bool = False) -> Mapping[str, Answer | CheckFailed]:
        """The answers so far, by case id, with the failure where there is no usable one."""
        return self._hidden_answers if hidden else self._answers

    def each(self, prefix: str, *, hidden: bool = False) -> Iterator[Answer]:
        """The answers to all cases below ``prefix``, asked when first needed.

        Raises:
            CheckFailed: as soon as a case has no usable answer.
        """
        cases = self._hidden if hidden else self._public
        if cases is None:
            raise InternalError("hidden cases are not here: this check needs the instructor's checkout")
        remembered = self._hidden_answers if hidden else self._answers
        for case in cases.matching(prefix):
            seen = self.seen.setdefault(self._check, {}).setdefault((hidden, case.id), Seen())
            answer = self._answer(case, cases, remembered)
            yield replace(answer, facts=_Noted(answer.facts, seen.facts), arrays=_Noted(answer.arrays, seen.arrays))

    def one(self, case_id: str, *, hidden: bool = False) -> Answer:
        """The answer to exactly one case."""
        (answer,) = self.each(case_id, hidden=hidden)
        return answer

    def follow_up(self, probe: str, params: Mapping[str, Any], arrays: Arrays) -> tuple[Mapping[str, Any], Arrays]:
        """Ask a question that an answer raised and that no case has."""
        facts, answer = self._interview.ask(probe, params, arrays)
        require_form(probe, params, arrays, facts, answer)
        return facts, answer

    def asked(self, prefix: str) -> dict[str, Answer | None]:
        """The public cases below ``prefix`` that some check has asked, with None where the answer was unusable."""
        return {
            case_id: answer if isinstance(answer, Answer) else None
            for case_id, answer in self._answers.items()
            if case_id.startswith(f"{prefix}/") and case_id in self._public.cases
        }

    def verdict(self, part: str) -> str:
        """The verdict of a part of problem 1, in lower case; empty if it is still to be written."""
        answer = verdict_answer(part, self.written)
        self._hidden_answers[answer.case.id] = answer
        self.seen.setdefault(self._check, {})[True, answer.case.id] = Seen(facts={"verdict"})
        return str(answer.fact("verdict"))

    def case(self, case_id: str) -> Case:
        """A public case."""
        return self._public.cases[case_id]

    def hidden_facts(self, case_id: str) -> Mapping[str, Any]:
        """The reference's facts of a hidden case that asks nothing of the submission."""
        if self._hidden is None:
            raise InternalError("hidden cases are not here: this check needs the instructor's checkout")
        return self._hidden.matching(case_id)[0].facts

    def _answer(self, case: Case, cases: CaseSet, remembered: dict[str, Answer | CheckFailed]) -> Answer:
        if case.id not in remembered:
            try:
                remembered[case.id] = self._ask(case, cases.inputs(case))
            except CheckFailed as failure:
                remembered[case.id] = failure
        answer = remembered[case.id]
        if isinstance(answer, CheckFailed):
            raise answer.again()
        return answer

    def _ask(self, case: Case, inputs: Arrays) -> Answer:
        self._load(case.module)
        answer = answer_case(self._interview, case, inputs)
        require_form(case.probe, case.params, inputs, answer.facts, dict(answer.arrays))
        return answer

    def _load(self, module: str) -> None:
        """Import a module once, so that one that hangs or dies there costs its deadline only once."""
        if module not in self._loads:
            self._loads[module] = None
            try:
                self._interview.ask("general.load", {"module": module}, {})
            except CheckFailed as failure:
                self._loads[module] = failure
        failed = self._loads[module]
        if failed is not None:
            raise failed.again()
