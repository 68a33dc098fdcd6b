"""Diagnosis: the right name, two at once, and never a wrong one for outputs that are no known mistake's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader import locations
from grader.assignment import Assignment, Limits
from grader.cases import Arrays
from grader.catalogue import Entry, Kind, all_entries, entry, with_entries
from grader.catalogue.pairs import COMMON_PAIRS
from grader.grade import Grader
from grader.interview import Interview
from grader.memory import Memory
from grader.report import CheckReport, Report
from grader.session import Answer, Session
from grader.submission import Submission
from tests.conftest import checks_of

PERTURBATIONS = 500
MISCONCEPTIONS = [item for item in all_entries() if item.kind is Kind.MISCONCEPTION and item.module != "answers"]
PARTS = {"lab1": ("1a", "1b", "1c", "1d", "1e", "1f"), "lab2": ("2a", "2b", "2c", "2d", "2e"),
         "lab3": ("3a", "3b", "3c", "3d", "bonus")}  # fmt: skip


def named(report: Report) -> dict[str, tuple[str, ...]]:
    """The diagnosed checks."""
    return {name: check.mistakes for name, check in checks_of(report).items() if check.mistakes}


def with_mistakes(reference: Submission, *ids: str) -> Submission:
    """The reference with these mistakes in it."""
    return Submission("mistaken", with_entries(reference.files, [entry(name) for name in ids]), ())


def test_a_mistake_is_named_explained_and_hinted_at(grader: Grader, reference: Submission) -> None:
    check = checks_of(grader.grade(with_mistakes(reference, "lab1.factor_two_missing"), ["1a"]))["gradient_is_exact"]
    known = entry("lab1.factor_two_missing")
    assert check.mistakes == (known.id,)
    assert check.diagnosis == f"{known.title}. {known.explanation}"
    assert check.advice is not None
    assert known.hint in check.advice


def test_a_mistake_written_in_another_way_is_named_too(graded: Callable[..., Report]) -> None:
    code = "def gradient(X, y, w):\n    return sum((x @ w - t) * x for x, t in zip(X, y, strict=True))"
    report = graded("1a", "1e", lab1_sparse_optimization=code)
    assert set(named(report).values()) == {("lab1.factor_two_missing",)}
    assert checks_of(report)["proximal_trajectory"].mistakes == ("lab1.factor_two_missing",)


def test_a_function_that_raises_is_not_named(graded: Callable[..., Report]) -> None:
    report = graded("1a", lab1_sparse_optimization="def gradient(X, y, w):\n    return w / 0")
    assert not checks_of(report)["gradient_is_exact"].points
    assert named(report) == {}


def test_an_unknown_mistake_is_not_named(graded: Callable[..., Report]) -> None:
    report = graded("1a", lab1_sparse_optimization="def gradient(X, y, w):\n    return 1.7 * X.T @ (X @ w - y)")
    assert named(report) == {}
    assert checks_of(report)["gradient_is_exact"].expected


def test_a_known_mistake_beside_an_unknown_one_is_still_named(graded: Callable[..., Report]) -> None:
    code = "loss_ = loss\ndef loss(X, y, w):\n    return loss_(X, y, w) / len(y)"
    report = graded(
        "1a", lab1_sparse_optimization=f"{code}\ndef gradient(X, y, w):\n    return 1.7 * X.T @ (X @ w - y)"
    )
    assert named(report)["loss_is_exact"] == ("lab1.mean_instead_of_sum",)
    assert "gradient_is_exact" not in named(report)


@pytest.mark.parametrize("pair", COMMON_PAIRS, ids=" + ".join)
def test_a_common_pair_is_recognised(grader: Grader, reference: Submission, pair: tuple[str, str]) -> None:
    """Some check saw both mistakes at once, or each is named by checks of its own."""
    report = grader.grade(with_mistakes(reference, *pair), PARTS[pair[0].partition(".")[0]])
    names = set(named(report).values())
    assert names <= {pair, pair[:1], pair[1:]}
    assert pair in names or names == {pair[:1], pair[1:]}


def test_hidden_checks_are_named_for_instructors_only(
    assignment: Assignment, grader: Grader, reference: Submission
) -> None:
    mistaken = with_mistakes(reference, "lab1.minus_zero_is_everything")
    assert named(grader.grade(mistaken, ["1c"])) == {"projection_edge_cases": ("lab1.minus_zero_is_everything",)}
    with Grader(assignment) as plain:
        check = checks_of(plain.grade(mistaken, ["1c"]))["projection_edge_cases"]
    assert (check.mistakes, check.diagnosis, check.message) == ((), None, "")


# --- Perturbations: a remembered submission whose answers are changed on the way to the judge


class Perturbed(Memory):
    """Remembers like Memory; the answer to the ``target``-th question to a submission comes out changed."""

    def __init__(self) -> None:
        super().__init__()
        self.random = np.random.default_rng(0)
        self.asked = 0
        self.target: int | None = None
        self.name, self.array = "", np.zeros(0)

    def start(self, target: int | None) -> None:
        """Count questions anew."""
        self.asked, self.target, self.name = 0, target, ""

    def interview(self, scratch: Path, limits: Limits, *rest: Any, **options: Any) -> Interview:
        plain, memory = super().interview(scratch, limits, *rest, **options), self
        if scratch == locations.pristine():  # it measures accuracy: no student's code
            return plain

        class Changing(Interview):
            def ask(self, probe: str, params: Mapping[str, Any], arrays: Arrays) -> tuple[Mapping[str, Any], Arrays]:
                facts, found = plain.ask(probe, params, arrays)
                memory.asked += 1
                return facts, memory.changed(found) if memory.target == memory.asked else found

            def close(self) -> None:
                plain.close()

        return Changing(scratch, limits)

    def changed(self, arrays: Arrays) -> Arrays:
        """Change one array in one of a few ways, each of which is visible and none of which is a known mistake."""
        candidates = [name for name, a in sorted(arrays.items()) if a.dtype.kind == "f" and np.isfinite(a).all()]
        candidates = [name for name in candidates if arrays[name].any()]
        if not candidates:
            return arrays
        self.name = candidates[int(self.random.integers(len(candidates)))]
        before = arrays[self.name]
        size, kind = float(np.abs(before).max()), self.random.integers(4)
        if kind == 0:
            after = before * self.random.uniform(1.01, 1.9)
        elif kind == 1:
            after = before + size * self.random.uniform(0.01, 0.5)
        elif kind == 2:
            after = before + size * 0.05 * self.random.normal(size=before.shape)
        else:
            few = self.random.permutation(before.size).reshape(before.shape) < max(1, before.size // 10)
            after = np.where(few, size * self.random.uniform(-1, 1, size=before.shape), before)
        self.array = np.asarray(after).astype(before.dtype)
        return arrays | {self.name: self.array}


def test_perturbed_outputs_are_never_named(
    assignment: Assignment, reference: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over 500 random changes of what right and mistaken code returns: no name that is not deserved.

    A check that looked at the changed array must not be named at all, another one at most by the mistake that is
    there.
    """
    sessions: list[Session] = []
    begin = Session.begin
    monkeypatch.setattr(Session, "begin", lambda self, check: (sessions.append(self), begin(self, check))[1])
    random, memory = np.random.default_rng(4), Perturbed()
    wrong: list[str] = []
    counted = 0
    with Grader(assignment, memory=memory) as grader:
        while counted < PERTURBATIONS:
            mistakes = [item.id for item in _draw(random)]
            lab = mistakes[0].partition(".")[0] if mistakes else f"lab{random.integers(1, 4)}"
            submission = with_mistakes(reference, *mistakes)
            memory.start(None)
            grader.grade(submission, PARTS[lab])
            for _ in range(10):
                memory.start(int(random.integers(1, memory.asked + 1)))
                checks = checks_of(grader.grade(submission, PARTS[lab]))
                if memory.name:
                    counted += 1
                    seen = _saw_the_change(sessions[-1], memory)
                    wrong += [f"{mistakes} {memory.name}: {t}" for t in _undeserved(checks, tuple(mistakes), seen)]
    assert wrong == []


def _draw(random: np.random.Generator) -> list[Entry]:
    """A misconception, or right code one time in three."""
    return [] if random.random() < 1 / 3 else [MISCONCEPTIONS[int(random.integers(len(MISCONCEPTIONS)))]]


def _saw_the_change(session: Session, memory: Perturbed) -> set[str]:
    """The checks that looked at the changed array."""
    cases = {
        (hidden, case_id)
        for hidden in (False, True)
        for case_id, answer in session.answers(hidden=hidden).items()
        if isinstance(answer, Answer) and answer.arrays.get(memory.name) is memory.array
    }
    return {
        check
        for check, looked_at in session.seen.items()
        for case, seen in looked_at.items()
        if case in cases and ("*" in seen.arrays or memory.name in seen.arrays)
    }


def _undeserved(checks: Mapping[str, CheckReport], there: tuple[str, ...], saw: set[str]) -> Iterator[str]:
    for name, check in checks.items():
        if check.mistakes and check.mistakes != there:
            yield f"{name} names {check.mistakes}"
        elif check.mistakes and name in saw:
            yield f"{name} names {check.mistakes} although it saw the change"
