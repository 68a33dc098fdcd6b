"""JUnit's XML, for whatever shows test results: a suite for each student, a case for each check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from grader.files import write_atomically
from grader.gradebook.exports.common import Exported, Tally, feedback
from grader.gradebook.grades import Grade, Gradebook, Status, total_of
from grader.render.view import clean, clip, is_note
from grader.report import CheckReport, Outcome, PartReport

__all__ = ["write"]

_CHILDREN = {
    Outcome.FAILED: "failure",
    Outcome.TIMEOUT: "failure",
    Outcome.ERROR: "error",
    Outcome.SKIPPED: "skipped",
}
_WHOLE = {
    Status.UNUSABLE: ("failure", "the submission cannot be graded"),
    Status.FAULT: ("error", "the grader failed"),
    Status.WAITING: ("skipped", "not graded yet"),
    Status.MISSING: ("skipped", "nothing handed in"),
}


def write(book: Gradebook, out: Path) -> Exported:
    """Write the suites of the class.

    Args:
        book: the class.
        out: the XML file.

    Raises:
        GraderError: ``out`` cannot be written.
    """
    tally = Tally(provisional=True)

    def chunks() -> Iterator[bytes]:
        yield b'<?xml version="1.0" encoding="utf-8"?>\n<testsuites>\n'
        for grade in book:
            tally.points(grade, total_of(grade, book.assignment))
            suite = _suite(grade)
            ET.indent(suite)
            yield ET.tostring(suite, encoding="utf-8") + b"\n"
        yield b"</testsuites>\n"

    write_atomically(out, chunks())
    return Exported(out, tally.count, tally.notes())


def _suite(grade: Grade) -> ET.Element:
    cases = list(_cases(grade))
    kinds = Counter(child.tag for case in cases for child in case)
    suite = ET.Element("testsuite", name=_safe(grade.student.key))
    suite.attrib |= {"errors": str(kinds["error"]), "failures": str(kinds["failure"]),
                     "skipped": str(kinds["skipped"]), "tests": str(len(cases)),
                     "time": f"{grade.seconds or 0:.3f}"}  # fmt: skip
    suite.extend(cases)
    return suite


def _cases(grade: Grade) -> Iterator[ET.Element]:
    for part in grade.report.parts if grade.report else ():
        for check in part.checks:
            yield _case(grade, part, check)
    says_enough = grade.report is not None and grade.report.has_error()
    if grade.status in _WHOLE and not (grade.status is Status.FAULT and says_enough):
        kind, message = _WHOLE[grade.status]
        case = ET.Element("testcase", classname=_safe(grade.student.key), name="submission", time="0.000")
        _add(case, kind, message, grade.message)
        yield case


def _case(grade: Grade, part: PartReport, check: CheckReport) -> ET.Element:
    case = ET.Element("testcase", classname=_safe(f"{grade.student.key}.{part.id}"), name=_safe(check.title))
    case.set("time", "0.000")  # checks share answers, so none has a time of its own
    said = feedback(check)
    if check.outcome is Outcome.PASSED:
        return case
    if is_note(check) and check.outcome is not Outcome.ERROR:
        ET.SubElement(case, "system-out").text = f"A note, never scored: {said}"
    else:
        _add(case, _CHILDREN[check.outcome], check.message, said)
    return case


def _add(case: ET.Element, kind: str, message: str, text: str) -> None:
    child = ET.SubElement(case, kind, message=clip(message).partition("\n")[0])
    if kind != "skipped":
        child.set("type", kind)
    child.text = clip(text) or None


def _safe(text: str) -> str:
    """Without the characters that XML cannot hold, on one line."""
    return clean(text).replace("\n", " ")
