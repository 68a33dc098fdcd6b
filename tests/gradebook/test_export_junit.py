"""JUnit's XML: what its readers know, and no more; a fault of the grader is an error and never a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from grader.assignment import Assignment
from grader.gradebook.exports.junit import write
from grader.gradebook.grades import Grade, HandIn, Status
from grader.report import Outcome, Report
from tests.conftest import Graded
from tests.gradebook.books import Book, check, class_book, report, student

# The format as its readers publish it: for each element its attributes (* is required) and its children.
FORMAT = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"*name", "*tests", "*failures", "*errors", "skipped", "time", "timestamp", "hostname"},
        {"testcase"},
    ),
    "testcase": ({"*name", "*classname", "time"}, {"failure", "error", "skipped", "system-out", "system-err"}),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
    "skipped": ({"message", "type"}, set()),
    "system-out": (set(), set()),
}  # fmt: skip


def complaints(element: ET.Element) -> list[str]:
    """What in an element, and below it, is not in the format."""
    if element.tag not in FORMAT:
        return [f"<{element.tag}>"]
    attributes, children = FORMAT[element.tag]
    required = {name[1:] for name in attributes if name.startswith("*")}
    allowed = {name.lstrip("*") for name in attributes}
    found = [f"{element.tag} has {name}" for name in element.attrib.keys() - allowed]
    found += [f"{element.tag} lacks {name}" for name in required - element.attrib.keys()]
    found += [f"{child.tag} in {element.tag}" for child in element if child.tag not in children]
    if element.tag == "testsuite":
        paths = {"tests": "", "failures": "/failure", "errors": "/error", "skipped": "/skipped"}
        counted = {name: element.findall(f"testcase{path}") for name, path in paths.items()}
        found += [f"{name} is wrong" for name, items in counted.items() if int(element.get(name, -1)) != len(items)]
    if element.tag == "testcase":
        found += ["more than one outcome"] * (len([c for c in element if c.tag in ("failure", "error", "skipped")]) > 1)
    return [*found, *(told for child in element for told in complaints(child))]


def _written(tmp_path: Path, assignment: Assignment, *grades: Grade) -> ET.Element:
    write(Book(assignment, lambda: grades), tmp_path / "junit.xml")
    root = ET.parse(tmp_path / "junit.xml").getroot()
    assert complaints(root) == []
    return root


def _graded(given: Report, **more: object) -> Grade:
    return Grade(student("ada"), Status.GRADED, HandIn("ada"), given, **more)  # type: ignore[arg-type]


def test_the_class_is_in_the_format(assignment: Assignment, tmp_path: Path) -> None:
    exported = write(class_book(assignment), tmp_path / "junit.xml")
    root = ET.parse(tmp_path / "junit.xml").getroot()
    assert complaints(root) == []
    counts = {
        suite.get("name"): tuple(int(suite.get(name, "")) for name in ("tests", "failures", "errors", "skipped"))
        for suite in root
    }
    assert counts == {
        "ada": (2, 0, 0, 0), "bob": (2, 1, 0, 0), "cy": (1, 0, 0, 0), "dee": (1, 1, 0, 0), "eve": (1, 0, 1, 0),
        "flo": (1, 0, 0, 1), "gus": (1, 0, 0, 1),
    }  # fmt: skip
    assert root[0].get("time") == "3.250"
    assert exported.count == 4


def test_pytest_writes_the_same_elements_and_attributes(assignment: Assignment, tmp_path: Path) -> None:
    """Whatever reads pytest's file reads ours."""
    (tmp_path / "test_a.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\n@pytest.fixture\ndef f(): raise ValueError\n"
        "def test_c(f): pass\n@pytest.mark.skip\ndef test_d(): pass\ndef test_e(): print(1)\n"
    )
    theirs = tmp_path / "theirs.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c/dev/null", f"--rootdir={tmp_path}",
               "-ojunit_logging=all", f"--junitxml={theirs}", str(tmp_path / "test_a.py")]  # fmt: skip
    subprocess.run(command, check=False, capture_output=True, cwd=tmp_path)
    known: dict[str, set[str]] = {}
    for element in ET.parse(theirs).iter():
        known.setdefault(element.tag, set()).update(element.attrib)
    note = check("n", 0, 0, outcome=Outcome.FAILED, message="mind")
    root = _written(tmp_path, assignment, *class_book(assignment).grades(), _graded(report(note)))
    for element in root.iter():
        assert element.tag in known
        extra = element.attrib.keys() - known[element.tag]
        assert extra <= ({"type"} if element.tag in ("failure", "error") else set()), element.tag


@pytest.mark.parametrize(
    ("outcome", "tag"),
    [(Outcome.PASSED, None), (Outcome.FAILED, "failure"), (Outcome.TIMEOUT, "failure"), (Outcome.ERROR, "error"),
     (Outcome.SKIPPED, "skipped")],
)  # fmt: skip
def test_each_outcome_has_its_element(
    outcome: Outcome, tag: str | None, assignment: Assignment, tmp_path: Path
) -> None:
    (suite,) = _written(tmp_path, assignment, _graded(report(check(outcome=outcome, message="why", received="9"))))
    (case,) = suite
    assert (case.get("classname"), case.get("name")) == ("ada.1a", "`loss_is_exact` is right")
    assert [child.tag for child in case] == ([tag] if tag else [])
    if tag:
        assert case[0].get("message") == "why" and case[0].text == "why\nReceived: 9"


def test_a_fault_without_a_report_is_an_error(assignment: Assignment, tmp_path: Path) -> None:
    fault = Grade(student("ada"), Status.FAULT, HandIn("x"), message="the judge was lost")
    (suite,) = _written(tmp_path, assignment, fault)
    assert (suite.get("errors"), suite.get("failures")) == ("1", "0")
    assert suite.find("testcase/error").text == "the judge was lost"  # type: ignore[union-attr]


def test_a_note_fails_nothing(assignment: Assignment, tmp_path: Path) -> None:
    note = check(points=0, max_points=0, outcome=Outcome.FAILED, message="mind this")
    (suite,) = _written(tmp_path, assignment, _graded(report(note)))
    assert suite.get("failures") == "0"
    assert suite.find("testcase/system-out").text == "A note, never scored: mind this"  # type: ignore[union-attr]


def test_nothing_that_a_student_writes_breaks_the_file(assignment: Assignment, tmp_path: Path) -> None:
    nasty = "<a>&\"']]>\x00\x1b[31m\ufffe\ud800\u202e" + "y" * 10**5 + "\x0bz"
    given = report(check(points=0, message=nasty, received=nasty), notes=(nasty,))
    (suite,) = _written(tmp_path, assignment, _graded(given))
    message = suite.find("testcase/failure").get("message")  # type: ignore[union-attr]
    assert message is not None and message.startswith("<a>&\"']]>yyy")
    assert (tmp_path / "junit.xml").stat().st_size < 10_000


def test_a_real_report_is_in_the_format(graded: Graded, assignment: Assignment, tmp_path: Path) -> None:
    broken = graded("1a", "3a", lab1_sparse_optimization="def loss(X, y, w):\n    raise ValueError('<no>')")
    (suite,) = _written(tmp_path, assignment, _graded(broken))
    assert len(suite) == sum(len(part.checks) for part in broken.parts)
    assert suite.get("errors") == "0" and suite.get("failures") != "0"


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        ("<report/>", "<report>"),
        ("<testsuites><testcase name='a' classname='b'/></testsuites>", "testcase in testsuites"),
        ("<testsuite name='a' tests='2' failures='0' errors='0' skipped='0'/>", "tests is wrong"),
        ("<testcase name='a'/>", "testcase lacks classname"),
        ("<testcase name='a' classname='b' points='1'/>", "testcase has points"),
        ("<testcase name='a' classname='b'><error/><failure/></testcase>", "more than one outcome"),
    ],
)
def test_what_is_not_in_the_format_is_noticed(xml: str, says: str) -> None:
    assert says in complaints(ET.fromstring(xml))
