"""The template as a student meets it: zero points, a message for each function that is to be written, no loose ends.

That the template and the fixtures are what the reference gives is in test_template.py and test_fixtures.py, that the
reference has full marks in test_catalogue.py, that the driver notebook runs in reference/test_notebook_driver.py.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader import locations
from grader.grade import Grader
from grader.report import Outcome, Report
from grader.submission import Submission, load_submission
from tests.conftest import ROOT, checks_of

TEMPLATE = ROOT / "student_template"
SECTION = re.compile(r"^# --- (.+)$", re.MULTILINE)
PROVIDED = re.compile(r"\bProvided\b")

# Functions that no message on the untouched template names, each with the one that is asked for in its place.
HIDDEN_BEHIND = {
    "STE.backward": "STE.forward",  # there is no gradient before there is a forward pass
}


def definitions(source: str) -> Iterator[tuple[str, ast.stmt]]:
    """Every public function, class, method and constant of a file, methods as ``Class.method``."""
    for node in ast.parse(source).body:
        yield from ((name, node) for name in _names(node))
        if isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{name}", child) for child in node.body for name in _names(child))


def _names(node: ast.stmt) -> list[str]:
    """The public names that a statement defines; ``import`` defines none of this file's own."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        found = [node.name]
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        found = [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
    else:
        found = []
    return [name for name in found if not name.startswith("_")]


def stub_of(node: ast.stmt) -> str | None:
    """What a function that a student writes raises in the template: "Lab 1(a): `loss` is still to be written"."""
    if not isinstance(node, ast.FunctionDef):
        return None
    raised = [child.exc for child in node.body if isinstance(child, ast.Raise)]
    calls = [exc for exc in raised if isinstance(exc, ast.Call) and ast.unparse(exc.func) == "NotImplementedError"]
    return str(ast.literal_eval(calls[0].args[0])) if calls else None


STUBS = {
    (path.name, name): message
    for path in sorted(TEMPLATE.glob("*.py"))
    for name, node in definitions(path.read_text(encoding="utf-8"))
    if (message := stub_of(node))
}
"""The message of every function that a student writes, by its file and its name."""


@pytest.fixture(scope="module")
def untouched(grader: Grader) -> Report:
    """The report of the template as it is handed out."""
    return grader.grade(load_submission(TEMPLATE, locations.pristine()))


# --- Zero, with a useful message for each function


def test_every_function_is_a_stub_of_its_own() -> None:
    assert len(STUBS) == len(set(STUBS.values())) >= 20
    for (file, name), message in STUBS.items():
        assert re.fullmatch(rf"Lab \d\([a-f]\): `{re.escape(name)}` is still to be written", message), file


def test_the_template_has_no_points(untouched: Report) -> None:
    assert untouched.score == 0
    assert {part.score for part in untouched.parts} == {0}
    assert {check.points for check in checks_of(untouched).values()} == {0}


def test_every_failed_check_says_what_is_to_be_written(untouched: Report) -> None:
    assert {check.outcome for check in checks_of(untouched).values()} == {Outcome.FAILED, Outcome.SKIPPED}
    failed = [check for check in checks_of(untouched).values() if check.outcome is Outcome.FAILED]
    assert [check.name for check in failed if "is still to be written" not in check.message] == []


def test_a_skipped_check_builds_on_one_that_failed(untouched: Report) -> None:
    titles = {check.title for check in checks_of(untouched).values() if check.outcome is Outcome.FAILED}
    skipped = [check for check in checks_of(untouched).values() if check.outcome is Outcome.SKIPPED]
    assert [c.name for c in skipped if not any(f'builds on "{title}"' == c.message for title in titles)] == []


def test_every_function_is_named_by_a_message(untouched: Report) -> None:
    said = {check.message for check in checks_of(untouched).values()}
    silent = {name for (_, name), message in STUBS.items() if message not in said}
    assert silent == set(HIDDEN_BEHIND)
    assert set(HIDDEN_BEHIND.values()) <= {name for _, name in STUBS} - silent


def unwritten(reference: Submission, file: str, name: str) -> Submission:
    """The reference, with one function as it is in the template."""
    solved, stubbed = reference.files[file].decode(), (TEMPLATE / file).read_text(encoding="utf-8")
    ours, theirs = dict(definitions(solved))[name], dict(definitions(stubbed))[name]
    lines = solved.splitlines()
    lines[ours.lineno - 1 : ours.end_lineno] = stubbed.splitlines()[theirs.lineno - 1 : theirs.end_lineno]
    return Submission(name, {**reference.files, file: ("\n".join(lines) + "\n").encode()}, ())


@pytest.mark.parametrize(("file", "name"), STUBS, ids=[name for _, name in STUBS])
def test_a_function_that_alone_is_missing_is_named_in_its_part(
    file: str, name: str, grader: Grader, reference: Submission
) -> None:
    message = STUBS[file, name]
    lab, letter = re.findall(r"\w(?=\()|(?<=\()\w", message)[:2]
    checks = checks_of(grader.grade(unwritten(reference, file, name), [f"{lab}{letter}"])).values()
    assert {check.outcome for check in checks} <= {Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED}
    assert any(check.message.endswith(message) and check.max_points > 0 for check in checks)


# --- Every public name is graded or provided


def is_provided(source: str, node: ast.stmt) -> bool:
    """Whether the docstring of the file or of the name says so, or the comment over its section."""
    own = ast.get_docstring(node) if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else None
    above = "\n".join(source.splitlines()[: node.lineno - 1])
    marks = (own, ast.get_docstring(ast.parse(source)), *SECTION.findall(above)[-1:])
    return any(PROVIDED.search(mark or "") for mark in marks)


def loose_ends(file: str, source: str) -> list[str]:
    """The public names that students neither write nor are given.

    What they write is graded: `test_a_function_that_alone_is_missing_is_named_in_its_part`. So is a class with a
    method that they write; what else stands in it is not. All of a provided class is provided.
    """
    written = {name for stub_file, name in STUBS if stub_file == file}
    written |= {name.partition(".")[0] for name in written}
    provided = {name for name, node in definitions(source) if is_provided(source, node)}
    return [
        name
        for name, _ in definitions(source)
        if name not in written | provided and name.partition(".")[0] not in provided
    ]


@pytest.mark.parametrize("path", sorted(TEMPLATE.glob("*.py")), ids=lambda path: path.name)
def test_every_public_name_is_graded_or_provided(path: Path) -> None:
    assert loose_ends(path.name, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("file", "added", "loose"),
    [
        ("lab1_sparse_optimization.py", "def helper(w: Array) -> Array:\n    return w", ["helper"]),
        ("lab1_sparse_optimization.py", "EPSILON = DELTA = 1e-9", ["EPSILON", "DELTA"]),
        ("FP_layers.py", "    def levels(self) -> int:\n        return 2**self.Nbits", ["FP_Conv.levels"]),
        ("FP_layers.py", "_EPSILON = 1e-9", []),
        ("lab3_quantization.py", "# --- Provided\n\nEPSILON = 1e-9", []),
    ],
)
def test_a_name_that_is_neither_is_noticed(file: str, added: str, loose: list[str]) -> None:
    source = (TEMPLATE / file).read_text(encoding="utf-8")
    assert loose_ends(file, f"{source}\n\n{added}\n") == loose


def test_nothing_provided_is_a_stub() -> None:
    """A mark on what students write would tell them to leave it as it is."""
    sources = {file: (TEMPLATE / file).read_text(encoding="utf-8") for file, _ in STUBS}
    nodes = {file: dict(definitions(source)) for file, source in sources.items()}
    assert [name for file, name in STUBS if is_provided(sources[file], nodes[file][name])] == []
