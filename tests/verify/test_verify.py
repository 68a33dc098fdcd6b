"""``grader verify``: what it complains of, that it goes on after an interruption, and what it shows."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from grader import locations, run_checks
from grader.assignment import Assignment, Part
from grader.catalogue import Entry, Kind, all_entries, entry
from grader.catalogue.validation import validate
from grader.checks import hidden as hidden_checks
from grader.checks import lab1, lab2, lab3
from grader.checks.hidden import lab1 as hidden1
from grader.checks.hidden import lab2 as hidden2
from grader.checks.hidden import lab3 as hidden3
from grader.checks.hidden import problem1
from grader.errors import AssignmentError, CatalogueError, InternalError
from grader.grade import Grader
from grader.report import Outcome
from grader.submission import Submission
from grader.verify import running, subjects
from grader.verify.judging import Cell, Result, idle_checks, judge
from grader.verify.matrix import Verification, print_matrix, print_summary, render_html, to_json
from grader.verify.prove import prove
from grader.verify.subjects import Role, Subject

CHECK_MODULES = (lab1, lab2, lab3, hidden1, hidden2, hidden3, problem1)
CHECKS = sorted(name for module in CHECK_MODULES for name in vars(module) if name.startswith("check_"))
MEAN = entry("lab1.mean_instead_of_sum")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Journals of the tests do not meet those of a real run."""
    monkeypatch.setattr(locations, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def subject(role: Role, *entries: Entry) -> Subject:
    """A subject of that role."""
    return Subject(" + ".join(e.id for e in entries) or role.value, role, entries)


def row(
    of: Subject, assignment: Assignment, failed: tuple[str, ...] = (), names: dict[str, tuple[str, ...]] | None = None
) -> Result:
    """A result in which exactly these checks fail, with these diagnoses."""
    cells = {
        name: Cell(outcome=Outcome.FAILED if name in failed else Outcome.PASSED, mistakes=(names or {}).get(name, ()))
        for part in assignment.parts.values()
        for name in part.weights
    }
    return Result(subject=of.id, role=of.role, cells=cells, scores=_scores(assignment, failed))


def _scores(assignment: Assignment, failed: tuple[str, ...]) -> dict[str, float]:
    def score(part: Part) -> float:
        passed = sum(weight for name, weight in part.weights.items() if name not in failed)
        return part.automatic * passed / sum(part.weights.values())

    return {part.id: score(part) for part in assignment.parts.values()}


def complaints(of: Subject, result: Result, assignment: Assignment) -> list[tuple[str, str]]:
    """Check and first words of each problem."""
    return [(p.check, p.text.split(":")[0]) for p in judge(of, result, assignment)]


# --- judging


def test_a_mistake_that_is_caught_and_named_is_right(assignment: Assignment) -> None:
    of = subject(Role.MISCONCEPTION, MEAN)
    result = row(of, assignment, tuple(MEAN.fails), {"loss_is_exact": (MEAN.id,)})
    assert complaints(of, result, assignment) == []


def test_a_mistake_that_passes_is_a_problem(assignment: Assignment) -> None:
    of = subject(Role.MISCONCEPTION, MEAN)
    result = row(of, assignment, ("loss_is_exact",), {"loss_is_exact": (MEAN.id,)})
    assert complaints(of, result, assignment) == [("loss_on_other_problems", "the mistake was not noticed")]


def test_a_point_too_many_lost_is_a_problem(assignment: Assignment) -> None:
    of = subject(Role.MISCONCEPTION, MEAN)
    result = row(of, assignment, (*MEAN.fails, "ste_levels"), {"loss_is_exact": (MEAN.id,)})
    assert complaints(of, result, assignment) == [("ste_levels", "a point was lost that should not be")]


def test_no_name_is_a_problem(assignment: Assignment) -> None:
    of = subject(Role.MISCONCEPTION, MEAN)
    assert complaints(of, row(of, assignment, tuple(MEAN.fails)), assignment) == [("", "the mistake was not named")]


def test_a_wrong_name_is_a_problem_even_beside_the_right_one(assignment: Assignment) -> None:
    of = subject(Role.MISCONCEPTION, MEAN)
    names = {"loss_is_exact": (MEAN.id,), "loss_on_other_problems": ("lab1.sign_error",)}
    result = row(of, assignment, tuple(MEAN.fails), names)
    assert complaints(of, result, assignment) == [("loss_on_other_problems", "a wrong name was given")]


def test_an_equivalent_that_is_refused_is_a_problem(assignment: Assignment) -> None:
    of = subject(Role.EQUIVALENT, entry("equivalents_lab1.loss_in_a_loop"))
    assert complaints(of, row(of, assignment), assignment) == []
    found = complaints(of, row(of, assignment, ("loss_is_exact",)), assignment)
    assert found == [("loss_is_exact", "right code was refused"), ("", "part 1a has 1.5 of 2 points")]


def test_an_equivalent_without_the_bonus_may_lack_only_that(assignment: Assignment) -> None:
    of = subject(Role.EQUIVALENT, entry("equivalents_lab3.file_of_an_older_term"))
    assert complaints(of, row(of, assignment, ("symmetric_levels",)), assignment) == []
    assert complaints(of, row(of, assignment, ("ste_levels",)), assignment)


def test_a_point_for_the_template_is_a_problem(assignment: Assignment) -> None:
    of = subject(Role.TEMPLATE)
    every = tuple(name for part in assignment.parts.values() for name in part.weights)
    assert complaints(of, row(of, assignment, every), assignment) == []
    found = complaints(of, row(of, assignment, tuple(n for n in every if n != "verdict_1")), assignment)
    assert found == [("", "part p1.1 has 1 points without a line of the student's")]


def test_a_pair_is_noticed_twice_and_named_by_its_own_names(assignment: Assignment) -> None:
    other = entry("lab3.rounds_down")
    of = subject(Role.PAIR, MEAN, other)
    fails = (*MEAN.fails, *other.fails)
    assert complaints(of, row(of, assignment, fails, {"ste_levels": (other.id,)}), assignment) == []
    alone = complaints(of, row(of, assignment, tuple(MEAN.fails)), assignment)
    assert alone == [("", f"{other.id} was not noticed beside the other mistake")]
    misnamed = row(of, assignment, fails, {"loss_is_exact": ("lab1.sign_error",)})
    assert complaints(of, misnamed, assignment) == [("loss_is_exact", "a wrong name was given")]


def test_a_near_miss_has_no_name(assignment: Assignment) -> None:
    near = dataclasses.replace(MEAN, kind=Kind.NEAR_MISS, guards=frozenset({"RTOL"}))
    of = subject(Role.NEAR_MISS, near)
    assert complaints(of, row(of, assignment, tuple(near.fails)), assignment) == []
    assert complaints(of, row(of, assignment, tuple(near.fails), {"loss_is_exact": (MEAN.id,)}), assignment)


def test_a_fault_of_the_grader_is_a_problem_whoever_it_hits(assignment: Assignment) -> None:
    of = subject(Role.PAIR, MEAN, entry("lab3.rounds_down"))
    result = row(of, assignment, (*MEAN.fails, *entry("lab3.rounds_down").fails))
    cells = {**result.cells, "verdict_1": Cell(outcome=Outcome.ERROR, message="KeyError")}
    found = complaints(of, result.model_copy(update={"cells": cells}), assignment)
    assert found == [("verdict_1", "the grader itself failed")]


def test_a_check_that_no_mistake_fails_is_idle(assignment: Assignment) -> None:
    idle = idle_checks([subject(Role.MISCONCEPTION, MEAN)], assignment)
    assert "loss_is_exact" not in idle
    assert "ste_levels" in idle
    assert idle_checks(subjects.subjects(assignment, pairs=0), assignment) == []


# --- the catalogue is refused at load, with the id


def refused(changed: Entry, assignment: Assignment, reference: Submission) -> str:
    """What validation says of an entry."""
    checks = {name for part in assignment.parts.values() for name in part.weights}
    with pytest.raises(CatalogueError) as error:
        validate([changed], reference.files, checks, {"RTOL"})
    assert changed.id in str(error.value)
    return str(error.value)


def test_unknown_names_are_refused(assignment: Assignment, reference: Submission) -> None:
    change = dataclasses.replace
    assert "no check 'nonsense'" in refused(change(MEAN, fails=frozenset({"nonsense"})), assignment, reference)
    target = change(MEAN, target="lab1_sparse_optimization.losses")
    assert "no function 'losses'" in refused(target, assignment, reference)
    assert "no file lab9.py" in refused(change(MEAN, target="lab9.loss"), assignment, reference)
    near = change(MEAN, kind=Kind.NEAR_MISS, guards=frozenset({"NOTHING"}))
    assert "no tolerance 'NOTHING'" in refused(near, assignment, reference)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [("X, y", "must begin with (X, y, w)"), ("w, X, y", "must begin with"), ("X, y, w, lam", "needs a default for")],
)
def test_a_wrong_signature_is_refused(
    parameters: str, complaint: str, assignment: Assignment, reference: Submission
) -> None:
    changed = dataclasses.replace(MEAN, code=f"\n\ndef loss({parameters}):\n    return 0\n")
    assert complaint in refused(changed, assignment, reference)


def test_missing_words_are_refused(assignment: Assignment, reference: Submission) -> None:
    assert "Hint:" in refused(dataclasses.replace(MEAN, hint=""), assignment, reference)
    assert "no explanation" in refused(dataclasses.replace(MEAN, explanation=""), assignment, reference)
    assert "no title" in refused(dataclasses.replace(MEAN, title="This is a sentence."), assignment, reference)
    assert "fails no check" in refused(dataclasses.replace(MEAN, fails=frozenset()), assignment, reference)


def test_two_entries_of_one_id_are_refused(assignment: Assignment, reference: Submission) -> None:
    checks = {name for part in assignment.parts.values() for name in part.weights}
    with pytest.raises(CatalogueError, match=f"{MEAN.id}: another entry has the same id"):
        validate([MEAN, MEAN], reference.files, checks, set())


# --- no check can be dropped


def test_every_check_of_the_rubric_is_tried_below(assignment: Assignment) -> None:
    every = {f"check_{name}" for part in assignment.parts.values() for name in part.weights}
    assert set(CHECKS) == every
    assert hidden_checks.__doc__


@pytest.mark.parametrize("name", CHECKS)
def test_deleting_a_check_is_noticed(name: str, assignment: Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the function; then its line in the rubric as well: the catalogue still asks for it."""
    module = next(module for module in CHECK_MODULES if hasattr(module, name))
    monkeypatch.setattr(module, name, None)  # deleted and put back, it would come last, and checks build on others
    short = name.removeprefix("check_")
    with pytest.raises(AssignmentError, match=rf"checks that do not exist: .*\b{short}\b"):
        prove(assignment, only=["reference"], jobs=0)
    with pytest.raises(CatalogueError, match=f"there is no check '{short}'"):
        prove(_without(assignment, short), only=["reference"], jobs=0)


def _without(assignment: Assignment, check: str) -> Assignment:
    """The rubric without one check; another one of the part takes over its points."""
    parts = {}
    for part in assignment.parts.values():
        public, hidden = ({n: w for n, w in names.items() if n != check} for names in (part.public, part.hidden))
        parts[part.id] = part.model_copy(update={"public": public, "hidden": hidden})
    return assignment.model_copy(update={"parts": parts})


# --- a run


def test_a_choice_of_entries_is_proven(assignment: Assignment) -> None:
    found, seconds = prove(assignment, only=[MEAN.id, "reference"], jobs=0)
    assert found.proven
    assert not found.complete
    assert seconds > 0
    assert {r.subject: r.failed for r in found.results} == {MEAN.id: MEAN.fails, "reference": frozenset()}


def test_an_entry_that_no_longer_fits_is_a_problem(assignment: Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    harmless = dataclasses.replace(MEAN, code="\n\ndef loss(X, y, w):\n    return float(((X @ w - y) ** 2).sum())\n")
    catalogue = [harmless if item.id == MEAN.id else item for item in all_entries()]
    monkeypatch.setattr(subjects, "all_entries", lambda: iter(catalogue))
    found, _ = prove(assignment, only=[MEAN.id], jobs=0)
    assert not found.proven
    assert {p.check for p in found.problems} == {*MEAN.fails, ""}


def test_two_processes_find_the_same_as_one(assignment: Assignment) -> None:
    chosen = subjects.select(subjects.subjects(assignment, pairs=0), [MEAN.id, "lab1.no_legend", "reference"])
    here = {r.subject: r for r in running.grade_all(assignment, chosen, jobs=0)}
    there = {r.subject: r for r in running.grade_all(assignment, chosen, jobs=2)}
    assert here == there


def test_an_interrupted_run_goes_on(assignment: Assignment, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = subjects.select(subjects.subjects(assignment, pairs=0), ["lab1.no_legend", MEAN.id])
    journal = running.Journal(own_cache, running.source_digest())
    first = next(iter(running.grade_all(assignment, chosen, jobs=0, journal=journal)))
    with next(own_cache.glob("*.jsonl")).open("ab") as file:
        file.write('{"subject": "cut off in the middle of λ'.encode()[:-1])
    graded: list[str] = []
    plain = Subject.submission
    monkeypatch.setattr(Subject, "submission", lambda self: (graded.append(self.id), plain(self))[1])
    found, _ = prove(assignment, only=["lab1.no_legend", MEAN.id], jobs=0)
    assert set(graded) - {"reference"} == {s.id for s in chosen} - {first.subject}
    assert found.proven
    assert list(own_cache.glob("*.jsonl")), "a choice leaves what a whole run may go on with"
    prove(assignment, only=["reference"], jobs=0, fresh=True)
    assert {r.subject for r in journal.load().values()} == {"reference"}


def test_a_lost_process_is_a_fault_of_the_grader(assignment: Assignment) -> None:
    with pytest.raises(InternalError, match="a process that grades ended with status"):
        list(running.spread(assignment, ["any"], _die, jobs=1))


def _die(grader: Grader, item: str) -> None:
    os._exit(9)


def test_damaged_goldens_are_named(assignment: Assignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(locations.fixtures(), tmp_path / "fixtures")
    (tmp_path / "fixtures" / "public" / "mistakes.json").write_text("{")
    monkeypatch.setattr(locations, "fixtures", lambda: tmp_path / "fixtures")
    with pytest.raises(InternalError, match=r"mistakes\.json cannot be read"):
        list(running.spread(assignment, ["any"], _die, jobs=1))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_run_leaves_no_process_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from grader.cli import main; main()", "verify", "--only", "lab1", "--quiet"]
    run = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, stdout=subprocess.DEVNULL)
    parent = psutil.Process(run.pid)
    journals = tmp_path / ".cache" / "compression-lab-grader"
    deadline = time.monotonic() + 120
    while not list(journals.glob("*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    children = parent.children(recursive=True)
    assert len(children) >= 2
    run.kill()
    run.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_results_of_other_sources_are_not_taken(assignment: Assignment, own_cache: Path) -> None:
    chosen = subjects.select(subjects.subjects(assignment, pairs=0), [MEAN.id])
    of = chosen[0]
    running.Journal(own_cache, "another").add(row(of, assignment))
    (result,) = running.grade_all(assignment, chosen, jobs=0, journal=running.Journal(own_cache, "this"))
    assert result.failed == MEAN.fails
    assert [path.name for path in own_cache.glob("*.jsonl")] == ["verify-this.jsonl"]


def test_a_choice_that_fits_nothing_is_an_error(assignment: Assignment) -> None:
    with pytest.raises(CatalogueError, match="--only lab9: the catalogue has no such entry"):
        prove(assignment, only=["lab9"], jobs=0)


def test_pairs_are_always_the_same(assignment: Assignment) -> None:
    first, second = (
        [s.id for s in subjects.subjects(assignment) if s.role is Role.PAIR] for _ in range(2)
    )  # fmt: skip
    assert first == second
    assert len(set(first)) == subjects.PAIRS
    for of in subjects.subjects(assignment):
        if of.role is Role.PAIR:
            assert not of.entries[0].replaces & of.entries[1].replaces


# --- what it shows


@pytest.fixture
def verification(assignment: Assignment) -> Verification:
    """One row that is right and one in which a mistake was not noticed."""
    right, wrong = subject(Role.MISCONCEPTION, MEAN), subject(Role.MISCONCEPTION, entry("lab1.sign_error"))
    results = [row(right, assignment, tuple(MEAN.fails), {"loss_is_exact": (MEAN.id,)}), row(wrong, assignment)]
    problems = [p for s, r in zip((right, wrong), results, strict=True) for p in judge(s, r, assignment)]
    return Verification(assignment, (right, wrong), results, problems, ("ste_levels",))


def printed(verification: Verification) -> str:
    """What the terminal shows."""
    console = Console(record=True, width=100, force_terminal=False)
    print_matrix(verification, console)
    print_summary(verification, console, 2.0)
    return console.export_text()


def test_the_terminal_shows_matrix_and_summary(verification: Verification) -> None:
    text = printed(verification)
    line = next(line for line in text.splitlines() if line.startswith(MEAN.id))
    assert re.search(r" x··x·{20,}", line)
    assert "lab1.sign_error / gradient_step_is_exact: the mistake was not noticed" in text
    assert "misconceptions: caught 1/2 with exactly the intended checks, named right 1/2" in text
    assert "checks failed by no entry: 1: ste_levels" in text
    assert "Not proven" in text


def test_the_json_holds_every_cell(verification: Verification, assignment: Assignment) -> None:
    data = json.loads(to_json(verification, 2.0))
    assert not data["proven"]
    assert data["checks"] == [name for part in assignment.parts.values() for name in part.weights]
    assert data["rows"][0]["cells"]["loss_is_exact"] == {
        "outcome": "failed",
        "mistakes": [MEAN.id],
        "message": "",
    }
    assert data["rows"][0]["fails"] == sorted(MEAN.fails)


def test_the_page_is_self_contained_and_reproducible(verification: Verification) -> None:
    page = render_html(verification)
    assert page == render_html(verification)
    assert not re.search(r"https?://|src=|@import|url\(", page)
    assert page.count('class="red"') >= len(entry("lab1.sign_error").fails)


def test_the_checks_are_collected_without_being_run(assignment: Assignment) -> None:
    run_checks.CheckRunner(assignment).require_known()
