"""Grade one submission: stage it, ask its workers, run the checks, and put it all in a Report."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from grader import locations
from grader.assignment import Assignment, Part
from grader.cases import Arrays
from grader.diagnosis.diagnose import Diagnosis, HiddenHypotheses, diagnose
from grader.diagnosis.hypotheses import Hypothesis, Mistake
from grader.errors import CheckFailed, GraderError
from grader.evaluator import Evaluator
from grader.full.exam import Exam
from grader.full.rerun import Rerun, require_device, rerun_limits, rerun_policy
from grader.full.standard import FullOptions, Materials, empty_interview, load_standard
from grader.interview import Interview, InterviewFactory
from grader.memory import Memory
from grader.oracle import goldens_for
from grader.report import CheckReport, Curve, Outcome, PartReport, Report
from grader.run_checks import CheckRunner, Ending
from grader.session import Answer, Session
from grader.submission import Submission, stage
from grader.worker.host import start_server
from grader.worker.sandbox.policy import Policy, Status
from grader.written import FILE, Written, manual_items, read_written

__all__ = ["Grader"]

_ACCELERATOR = re.compile(rb"""\bcuda\b|["']mps["':]""")

_SOLVERS = {
    "gradient_descent": "gradient descent",
    "projected_gradient_descent": "projected gradient descent",
    "l1_gradient_descent": "L1 by subgradient",
    "proximal_gradient_descent": "proximal gradient descent",
    "trimmed_l1_gradient_descent": "trimmed L1",
}


class Grader:
    """Grades submissions one after another with one warm fork server.

    Args:
        assignment: the rubric.
        show_hidden: put the messages of hidden checks into reports, for the instructor's eyes.
        method: start method of the workers; None for the platform's best.
        memory: answers that need not be asked again; ``grader verify`` has one.
        isolation: what the sandbox of the workers should consist of; None for everything that the machine offers.
        full: where the full profile finds CIFAR-10 and the pre-trained network, or both, read before; None for the
            quick profile.

    Raises:
        GraderError: the full profile lacks one of them.
    """

    def __init__(
        self,
        assignment: Assignment,
        *,
        show_hidden: bool = False,
        method: str | None = None,
        memory: Memory | None = None,
        isolation: Policy | None = None,
        full: FullOptions | Materials | None = None,
    ) -> None:
        start_server()
        self._assignment = assignment
        self._checks = CheckRunner(assignment)
        self._show_hidden = show_hidden
        self._method = method
        self._interview: InterviewFactory = partial(memory.interview if memory else Interview, isolation=isolation)
        self._pristine = locations.pristine()
        self._goldens = goldens_for(assignment)
        self._evaluator = Evaluator(
            self._pristine, assignment.limits, self._goldens.public, self._interview, isolation=isolation
        )
        self._hidden_mistakes = self._live_mistakes() if show_hidden else None
        self._template = read_written((self._pristine / FILE).read_bytes())
        self._isolation = isolation
        self._full = full.options if isinstance(full, Materials) else full
        if self._full is not None:
            require_device(self._full, assignment.limits, self._pristine, isolation)
        self._standard = load_standard(assignment, full, self._pristine, isolation) if full else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._evaluator.close()
        if self._standard is not None:
            self._standard.evaluator.close()

    @property
    def is_full(self) -> bool:
        """Whether this is the full profile, for which a submission's checkpoints are taken."""
        return self._standard is not None

    @property
    def shortfall(self) -> str:
        """What is missing of CIFAR-10; empty if nothing is, or in the quick profile."""
        return self._standard.shortfall if self._standard is not None else ""

    def sandbox(self) -> Status:
        """Which layers confine the workers of this machine."""
        return self._evaluator.sandbox

    def grade(self, submission: Submission, parts: Iterable[str] | None = None) -> Report:
        """Run the checks of ``parts`` (ids; None for all).

        Raises:
            GraderError: a part is unknown, or the rubric and the checks do not fit together.
        """
        chosen = self._chosen(parts)
        with tempfile.TemporaryDirectory(prefix="grader-") as scratch:
            folder = Path(scratch).resolve()
            notes = [*submission.notes, *stage(submission, self._pristine, folder)]
            accelerator = _mentions_accelerator(submission)
            if accelerator:
                notes.append(f"{accelerator} asks for a GPU; it was run on the CPU instead.")
            written = read_written(submission.files.get(FILE), self._assignment.parts)
            with (
                self._interview(folder, self._assignment.limits, bool(accelerator), self._method) as interview,
                self._exam(submission, written, folder, bool(accelerator)) as exam,
            ):
                return self._report(submission, interview, written, exam, chosen, notes)

    @contextmanager
    def _exam(
        self, submission: Submission, written: Written, folder: Path, uses_accelerator: bool
    ) -> Iterator[Exam | None]:
        """What the full profile asks; the worker that opens checkpoints holds no code of the student's."""
        if self._standard is None or self._full is None:
            yield None
            return
        limits = rerun_limits(self._assignment.limits, self._full)

        def trainer(device: str) -> Interview:
            on_cpu = uses_accelerator and device == "cpu"
            policy = rerun_policy(self._isolation, device)
            return Interview(folder, limits, on_cpu, self._method, isolation=policy)

        rerun = Rerun(self._standard, self._full, self._assignment.training, trainer) if self._full.rerun else None
        with empty_interview(Interview, self._assignment, self._isolation) as interview:
            yield Exam(
                self._assignment, self._standard, submission.checkpoints, interview, written, rerun, self._template
            )

    def _chosen(self, parts: Iterable[str] | None) -> list[str]:
        known = self._assignment.parts
        chosen = list(known) if parts is None else list(dict.fromkeys(parts))
        if unknown := [part for part in chosen if part not in known]:
            raise GraderError(f"there is no part {unknown[0]!r} in the rubric; the parts are {', '.join(known)}")
        return chosen

    def _report(
        self,
        submission: Submission,
        interview: Interview,
        written: Written,
        exam: Exam | None,
        chosen: list[str],
        notes: list[str],
    ) -> Report:
        notes += written.complaints()
        goldens = self._goldens
        session = Session(self._assignment, interview, goldens.public, goldens.hidden, self._evaluator, written, exam)
        endings = self._checks.run(session, chosen, full=exam is not None, rerun=bool(exam and exam.is_rerun))
        if interview.sandbox is not None and (lacking := interview.sandbox.note()):
            notes.append(lacking)
        known = self._plain_messages(endings)
        named = self._diagnoses(session, endings)
        parts = tuple(self._part(self._assignment.parts[part], endings, known, named) for part in chosen)
        if absent := [part.title for part in parts if not part.checks]:
            notes.append(f"Only your instructor's checks see: {', '.join(absent)}.")
        manual = manual_items(self._assignment, self._template, written)
        notes += exam.notes(chosen) if exam else []
        return Report(
            submission=submission.name,
            profile="full" if exam else "quick",
            score=_rounded(sum(Fraction(part.score) for part in parts)),
            max_score=_rounded(sum(Fraction(part.max_score) for part in parts if not part.bonus)),
            parts=parts,
            notes=tuple(notes),
            manual=tuple(item for item in manual if item.part in chosen),
            curves=tuple(_curves(session)),
            measurements=exam.measurements(chosen) if exam else (),
        )

    def _plain_messages(self, endings: Mapping[str, Ending]) -> set[str]:
        """What public checks said without comparing anything: a function is missing, or not yet written.

        A hidden check may say that too.
        """
        hidden = self._assignment.hidden_checks
        failures = [ending.failure for name, ending in endings.items() if ending.failure and name not in hidden]
        return {failure.message for failure in failures if failure.expected is None and failure.received is None}

    def _live_mistakes(self) -> HiddenHypotheses | None:
        """Names for what hidden checks find, where the catalogue is at hand."""
        try:
            from grader.authoring.mistakes import LiveMistakes
        except ModuleNotFoundError:
            return None
        if self._goldens.hidden is None:
            return None
        return LiveMistakes(self._assignment, self._goldens.hidden, self._interview).failing

    def _diagnoses(self, session: Session, endings: Mapping[str, Ending]) -> Mapping[str, Hypothesis]:
        failed = [name for name, ending in endings.items() if ending.failure is not None]
        if not self._show_hidden:
            failed = [name for name in failed if name not in self._assignment.hidden_checks]
        return diagnose(Diagnosis(session, self._goldens.mistakes, self._hidden_mistakes), failed)

    def _part(
        self, part: Part, endings: Mapping[str, Ending], known: Set[str], named: Mapping[str, Hypothesis]
    ) -> PartReport:
        """The part's automatic points, shared by weight among its checks that ran."""
        every = part.weights_with(full=True, rerun=True)
        ran = {name: Fraction(weight) for name, weight in every.items() if name in endings}
        total = sum(ran.values()) or 1  # notes alone weigh nothing
        worth = {name: Fraction(part.automatic) * weight / total for name, weight in ran.items()}
        return PartReport(
            id=part.id,
            title=part.title,
            score=_rounded(sum(worth[name] for name in ran if endings[name].outcome is Outcome.PASSED)),
            max_score=part.automatic if ran else 0,
            manual_max=part.manual,
            bonus=part.bonus,
            checks=tuple(self._check(name, endings[name], worth[name], part, known, named.get(name)) for name in ran),
        )

    def _check(
        self,
        name: str,
        ending: Ending,
        worth: Fraction,
        part: Part,
        known: Set[str],
        named: Hypothesis | None,
    ) -> CheckReport:
        hidden, failure = name in part.hidden, ending.failure
        tells_nothing = failure is not None and (failure.harmless or failure.message in known)
        veiled = hidden and not self._show_hidden
        silent = veiled and not tells_nothing
        shown = None if silent else failure
        return CheckReport(
            name=name,
            title=ending.title,
            points=_rounded(worth) if ending.outcome is Outcome.PASSED else 0,
            max_points=_rounded(worth),
            outcome=ending.outcome,
            message=shown.message if shown else "" if silent else ending.message,
            hidden=hidden,
            expected=shown.expected if shown and not veiled else None,
            received=shown.received if shown and not veiled else None,
            diagnosis=_diagnosis(named.mistakes) if named else None,
            mistakes=named.ids if named else (),
            advice=_advice(shown, part, named.mistakes if named else ()) if shown else None,
        )


def _diagnosis(mistakes: Sequence[Mistake]) -> str:
    """What the mistakes are called and why they are wrong."""
    told = [f"{mistake.title}. {mistake.explanation}" for mistake in mistakes]
    return told[0] if len(told) == 1 else " ".join(f"({i}) {text}" for i, text in enumerate(told, 1))


def _advice(failure: CheckFailed, part: Part, mistakes: Sequence[Mistake]) -> str | None:
    """The hints of a diagnosis, or what the check advises, and what to read."""
    told = [mistake.hint for mistake in mistakes] if mistakes else [failure.advice or ""]
    reading = f"Read {part.reading}." if part.reading else ""
    return " ".join(text for text in (*told, reading) if text) or None


def _rounded(points: Fraction | int) -> float:
    """Shown with four decimals; sums are made of exact fractions, so that full marks are exactly full."""
    return round(float(points), 4)


def _mentions_accelerator(submission: Submission) -> str | None:
    """The name of a file whose code mentions a GPU."""
    for name, content in submission.files.items():
        if name.endswith(".py") and _ACCELERATOR.search(content):
            return name
    return None


def _curves(session: Session) -> Iterable[Curve]:
    """The runs on the assignment's own problem, as far as a check asked for them."""
    for case_id, answer in session.asked("lab1").items():
        _, solver, *rest = case_id.split("/")
        if solver in _SOLVERS and rest[0] == "course":
            expected = session.case(case_id).expected
            title = _SOLVERS[solver] + (f", λ = {rest[1]}" if len(rest) > 1 else "")
            yield _curve(title, expected, answer)


def _curve(title: str, expected: Arrays, answer: Answer | None) -> Curve:
    return Curve(
        title=title,
        expected_weights=expected["weights"].tolist(),
        expected_losses=expected["losses"].tolist(),
        weights=answer.array("weights").tolist() if answer else None,
        losses=answer.array("losses").tolist() if answer and "losses" in answer.arrays else None,
    )
