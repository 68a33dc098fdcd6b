"""One submission being graded: what the checks ask, and the answers so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from numpy.typing import NDArray

from grader.assignment import Assignment
from grader.cases import Arrays, Case, CaseSet
from grader.errors import CheckFailed, InternalError
from grader.evaluator import Evaluator
from grader.forms import require_form
from grader.full.exam import Exam
from grader.interview import Interview
from grader.written import Written

__all__ = ["Answer", "Seen", "Session", "answer_case", "verdict_answer"]

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


def answer_case(interview: Interview, case: Case, inputs: Arrays) -> Answer:
    """Ask a case with all its inputs; see ``Interview.ask`` for what is raised."""
    facts, arrays = interview.ask(case.probe, case.params, inputs)
    return Answer(case, inputs, facts, arrays)


def verdict_answer(part: str, written: Written) -> Answer:
    """The verdict of a part of problem 1, in the form of an answer."""
    case = Case(id=f"answers/{part}", probe="", module="", params={})
    return Answer(case, {}, {"verdict": written.text(part, "verdict").lower()}, {})


class Session:
    """What the checks see: the term, the answers of one submission, and how to measure a network.

    Args:
        assignment: the rubric.
        interview: the submission's workers.
        public, hidden: the cases; hidden ones exist only in the instructor's checkout.
        evaluator: measures accuracy.
        written: the parsed answers.toml, or why there is none.
        exam: the networks that were handed in; None in the quick profile.
    """

    def __init__(
        self,
        assignment: Assignment,
        interview: Interview,
        public: CaseSet,
        hidden: CaseSet | None,
        evaluator: Evaluator,
        written: Written,
        exam: Exam | None = None,
    ) -> None:
        self.term = assignment.term
        self.quick = assignment.quick
        self.written = written
        self.evaluator = evaluator
        self._exam = exam
        self._interview = interview
        self._public = public
        self._hidden = hidden
        self._answers: dict[str, Answer | CheckFailed] = {}
        self._hidden_answers: dict[str, Answer | CheckFailed] = {}
        self._loads: dict[str, CheckFailed | None] = {}
        self._check = ""
        self.seen: dict[str, dict[tuple[bool, str], Seen]] = {}
        """By check, what it looked at in the answers to the cases (hidden or not, id) that it asked."""

    @property
    def exam(self) -> Exam:
        """What the checks of the full profile ask.

        Raises:
            InternalError: this is the quick profile.
        """
        if self._exam is None:
            raise InternalError("this check belongs to the full profile")
        return self._exam

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
