"""The pages of a class and of its students: what they hold, and what they must never hold."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest

from grader import locations
from grader.assignment import Assignment, Late
from grader.errors import GraderError, InternalError
from grader.grade import Grader
from grader.gradebook.class_page import class_page, row_of
from grader.gradebook.grades import Grade, HandIn, ManualScore, Status, Student, Unclaimed, total_of
from grader.gradebook.pages import CLASS_PAGE, write_pages
from grader.gradebook.statistics import Statistics
from grader.gradebook.student_page import page_name, short, student_page
from grader.report import Outcome
from grader.submission import load_submission
from tests.gradebook.classroom import HOSTILE, Class, check, graded, part, report, student
from tests.render.browser import browse, needs_browser, untouched_address
from tests.render.page import Page

NOT_GRADED = (
    Grade(student("fay", "Fay"), Status.FAULT, HandIn("fay.zip"), message="a worker was lost"),
    Grade(student("una", "Una"), Status.UNUSABLE, HandIn("una.zip"), message="una.zip is no zip file"),
    Grade(student("wes", "Wes"), Status.WAITING, HandIn("wes.zip")),
    Grade(student("max", "Max"), Status.MISSING),
)


@pytest.fixture(scope="module")
def samples(grader: Grader) -> list[Grade]:
    """Two sample submissions and the template, as graded; what a person gave for one of them."""
    given = {"1a": ManualScore(1.5, "Say why the `step` matters."), "1b": ManualScore(1)}
    grades = []
    for name in ("mean_loss", "trimmed_by_gradient"):
        what = grader.grade(load_submission(locations.fixtures() / "sample_submissions" / name, locations.pristine()))
        grades.append(graded(Student(name, f"Student {name}"), what, manual=given if not grades else {}))
    empty = grader.grade(load_submission(locations.pristine(), locations.pristine()))
    return [*grades, graded("empty", empty)]


@pytest.fixture(scope="module")
def gradebook(assignment: Assignment, samples: Sequence[Grade]) -> Class:
    grades = sorted([*samples, *NOT_GRADED], key=lambda grade: grade.student.key)
    return Class(assignment, grades, [Unclaimed("README.txt", "not named after anybody")])


def page_of(grade: Grade, assignment: Assignment) -> str:
    return student_page(grade, total_of(grade, assignment), assignment)


def class_of(gradebook: Class) -> str:
    statistics = Statistics(gradebook.assignment)
    totals = [total_of(grade, gradebook.assignment) for grade in gradebook]
    for grade, total in zip(gradebook, totals, strict=True):
        statistics.add(grade, total)
    rows = [row_of(grade, total) for grade, total in zip(gradebook, totals, strict=True)]
    return class_page(gradebook.assignment, statistics, rows, gradebook.unclaimed())


def said(page: str) -> str:
    """The text of a page, without tags."""
    body = re.sub(r"(?s)<style>.*?</style>", "", page)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def _alone(rule: str) -> list[str]:
    """The classes that a CSS rule names on their own."""
    return re.findall(r"(?:^|, )\.([a-z]+)(?=\s*(?:,|$))", rule.strip())


class TestStudent:
    def test_the_totals_are_stated_one_by_one(self, assignment: Assignment) -> None:
        rubric = assignment.model_copy(update={"late": Late(percent_per_day=10)})
        parts = part("1a", check("c", Outcome.PASSED, 34)), part("bonus", check("b", Outcome.PASSED, 4), bonus=True)
        grade = graded("ada", report(*parts, waiting=("1a", "1b")), manual={"1a": ManualScore(2)}, late=True)
        text = said(page_of(grade, rubric))
        assert "36 of 100 points, so far" in text
        assert "Automatic checks 34 / 34" in text
        assert "Graded by hand 2 / 21 still to be graded: 1b, up to 2 points" in text
        assert "Bonus + 4 / 5" in text
        assert "Handed in late − 4 1 day late, 10 % for each day" in text
        assert "Total 36 / 100" in text

    def test_who_is_known_by_a_folder_only_is_named_once(self, assignment: Assignment) -> None:
        known = Student("ada", "ada", "ada@example.org")
        text = said(page_of(Grade(known, Status.UNUSABLE, HandIn("ada"), message="no Python file"), assignment))
        head = text[text.index("Grade ·") : text.index("no Python file")]
        assert re.findall(r"[\w@.]*ada[\w@.]*", head) == ["ada", "ada@example.org"]

    def test_a_final_grade_says_nothing_of_waiting(self, assignment: Assignment) -> None:
        text = said(page_of(graded("ada", report(part("1a", check("c", Outcome.PASSED)))), assignment))
        assert "so far" not in text and "still to be graded" not in text and "late" not in text.lower()

    def test_after_the_last_day_nothing_counts(self, assignment: Assignment) -> None:
        rule = Late(deadline=datetime(2026, 2, 20, tzinfo=UTC), percent_per_day=10, max_days=3)
        rubric = assignment.model_copy(update={"late": rule})
        text = said(page_of(graded("ada", report(part("1a", check("c", Outcome.PASSED, 30)))), rubric))
        assert "Handed in late − 30 10 days late; nothing counts after 3" in text and "Total 0 / 100" in text

    def test_it_is_the_report_with_what_a_person_gave(self, assignment: Assignment, samples: Sequence[Grade]) -> None:
        page = page_of(samples[0], assignment)
        text = said(page)
        assert "The mean instead of the sum" in text and page.count('class="plot"') == 28
        assert "1a 1.5 / 2 Say why the `step` matters." in text
        given = page[page.index('id="by-hand"') : page.index('id="written"')]
        assert given.count("<article") == 2 and "<b>Comment</b> Say why" in given
        assert "Written answers 13 waiting for a person, up to 18 points." in text
        assert '<td class="number">1.5<span class="of"> / 2</span></td>' in page[: page.index('id="checks"')]

    def test_who_and_what_and_when(self, assignment: Assignment) -> None:
        text = said(page_of(graded(Student("ada", "Ada"), report()), assignment))
        assert "2026-03-01 12:00 UTC" in text and "ada · " in text

    @pytest.mark.parametrize(
        ("grade", "words"),
        [
            (NOT_GRADED[0], "the grader itself failed. Reason: a worker was lost. This is the grader’s fault"),
            (
                NOT_GRADED[1],
                "could not be graded. Reason: una.zip is no zip file. It earns no automatic points.",
            ),
            (NOT_GRADED[2], "Not graded yet. This submission waits for its turn."),
            (NOT_GRADED[3], "Nothing was handed in."),
        ],
        ids=lambda value: value.status if isinstance(value, Grade) else "",
    )
    def test_without_a_report_it_says_why(self, assignment: Assignment, grade: Grade, words: str) -> None:
        page = page_of(grade, assignment)
        Page(page)
        assert words in said(page)
        assert ("Total 0 / 100" in said(page)) == (grade.status is Status.UNUSABLE)

    def test_a_fault_has_no_total_and_keeps_what_could_be_graded(self, assignment: Assignment) -> None:
        parts = part("1a", check("c", Outcome.ERROR), check("d", Outcome.PASSED))
        text = said(page_of(graded("ada", report(parts), status=Status.FAULT), assignment))
        assert "No total yet: the grader itself failed. Reason: the grader failed on c." in text
        assert "of 100 points" not in text and "Title of d" in text and text.count("Not final.") == 0

    def test_an_unusable_submission_keeps_what_a_person_gave(self, assignment: Assignment) -> None:
        grade = replace(NOT_GRADED[1], manual={"1a": ManualScore(2, "From the paper copy.")})
        text = said(page_of(grade, assignment))
        assert "2 of 100 points" in text and "From the paper copy." in text


class TestClass:
    def test_what_needs_attention_comes_first(self, gradebook: Class) -> None:
        text = said(class_of(gradebook))
        first = ("a worker was lost", "una.zip is no zip file", "README.txt not named")
        figures = ("Distribution Totals", "Parts The mean", "Checks, hardest first", "Most frequent mistakes")
        places = [text.index(mark) for mark in (*first, *figures, "Students Student Status")]
        assert places == sorted(places)

    def test_every_student_has_a_row_and_a_link(self, gradebook: Class) -> None:
        page = class_of(gradebook)
        roll = Page(page[page.index('<table class="roll">') : page.rindex("</table>")] + "</table>")
        links = [a["href"] for a in roll.of("a")]
        assert links == [f"students/{grade.student.key}.html" for grade in gradebook]
        words = said(page[page.index('<table class="roll">') :])
        assert all(state in words for state in ("grader fault", "not gradable", "not graded yet", "nothing handed in"))
        assert "13 answers to grade" in words and "15 answers to grade" in words

    def test_header_numbers(self, gradebook: Class, assignment: Assignment) -> None:
        text = said(class_of(gradebook))
        points = sorted(t for g in gradebook if (t := total_of(g, assignment).points) is not None)
        assert "Students 7 3 graded, 1 not gradable, 1 grader fault, 1 not graded yet, 1 nothing handed in" in text
        middle = f"{(points[1] + points[2]) / 2:.2f}".rstrip("0").rstrip(".")
        assert f"Median {middle} of 100 points" in text and "of 4 totals, not all final" in text

    def test_mistakes_are_explained_and_have_examples(self, gradebook: Class) -> None:
        page = class_of(gradebook)
        mistakes = page[page.index('id="mistakes"') : page.index('id="matters"')]
        assert "The mean instead of the sum" in mistakes and "too small by a factor" in mistakes
        assert 'href="students/mean_loss.html"' in mistakes

    def test_hardest_checks_first_and_the_rest_folded(self, gradebook: Class) -> None:
        page = class_of(gradebook)
        checks = page[page.index('id="checks"') : page.index('id="mistakes"')]
        shares = [float(share) for share in re.findall(r"</span></span>\s*([\d.]+)%</td>", checks)]
        assert len(shares) > 60 and shares == sorted(shares)
        assert checks[: checks.index("<details")].count("<tr>") == 13

    def test_bars_of_the_histogram_are_as_high_as_bins_are_full(self, assignment: Assignment) -> None:
        points = [1, 2, 3, 4, 12, 13, 24]
        grades = [graded(f"s{i}", report(part("2a", check("c", Outcome.PASSED, p)))) for i, p in enumerate(points)]
        page = class_of(Class(assignment, grades))
        first = page[page.index('class="plot"') :]
        bars = re.findall(
            r'<rect class="bar" [^>]* height="([\d.]+)"><title>([^<]*)', first[: first.index("</figure>")]
        )
        assert [words for _, words in bars] == [
            "0 to 5 points: 4 students",
            "10 to 15 points: 2 students",
            "20 to 25 points: 1 student",
        ]
        assert [float(height) for height, _ in bars] == [150.0, 75.0, 37.5]
        assert "Mean 8.43, median 4; the middle half from 2.5 to 12.5, all from 1 to 24." in said(page)

    @pytest.mark.parametrize("grades", [(), NOT_GRADED[:1], NOT_GRADED[3:]], ids=["nobody", "a fault", "missing"])
    def test_a_class_without_points_has_a_page(self, assignment: Assignment, grades: Sequence[Grade]) -> None:
        page = class_of(Class(assignment, grades))
        Page(page)
        assert not any(f'id="{name}"' in page for name in ("distribution", "parts", "checks", "mistakes", "matters"))


class TestAnyPage:
    def pages(self, gradebook: Class) -> list[str]:
        return [class_of(gradebook), *(page_of(grade, gradebook.assignment) for grade in gradebook)]

    def test_they_are_well_formed_and_request_nothing(self, gradebook: Class) -> None:
        for text in self.pages(gradebook):
            page = Page(text)
            assert not any(word in text for word in ("http:", "https:", "url(", "@import"))
            assert not any(page.of(tag) for tag in ("script", "link", "img", "iframe", "object", "base", "form"))
            assert not any({"src", "srcset", "xlink:href"} & set(attributes) for _, attributes in page.tags)
            assert all(re.match(r"#|students/", str(a["href"])) for a in page.of("a"))
            policy = next(m["content"] for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy")
            assert policy is not None and policy.startswith("default-src 'none'; style-src 'unsafe-inline'")

    def test_links_lead_somewhere_and_ids_are_unique(self, gradebook: Class) -> None:
        for text in self.pages(gradebook):
            page = Page(text)
            ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
            assert len(ids) == len(set(ids))
            assert {str(a["href"])[1:] for a in page.of("a") if str(a["href"]).startswith("#")} <= {*ids}
            assert {a["aria-labelledby"] for a in page.of("section")} <= {*ids}
            assert len(page.of("h1")) == len(page.of("main")) == len(page.of("header")) == 1

    def test_hostile_text_stays_text(self, assignment: Assignment) -> None:
        evil = Student("evil", HOSTILE, HOSTILE)
        bad = check("c", Outcome.FAILED, title=HOSTILE, message=HOSTILE, diagnosis=HOSTILE, mistakes=("m",))
        hand = HandIn(HOSTILE)
        one = replace(graded(evil, report(part("1a", bad, title=HOSTILE))), hand_in=hand)
        one = replace(one, manual={"1a": ManualScore(1, HOSTILE)})
        two = Grade(replace(evil, key="evil2"), Status.FAULT, hand, message=HOSTILE)
        three = Grade(replace(evil, key="evil3"), Status.UNUSABLE, hand, message=HOSTILE)
        for text in self.pages(Class(assignment, [one, two, three], [Unclaimed(HOSTILE, HOSTILE)])):
            page = Page(text)
            assert not page.of("script") and not page.of("img") and len(page.of("style")) == 1
            assert not set(text) & set("\x1b\x00\u202e")
            assert "{{ 7*7 }}" in text and "&lt;script&gt;" in text

    def test_names_of_any_length_do_not_swell_a_page(self, assignment: Assignment) -> None:
        long = graded(Student("long", "x" * 10_000, "y" * 10_000), report())
        long = replace(long, hand_in=HandIn("z" * 10_000))
        for text in self.pages(Class(assignment, [long, replace(NOT_GRADED[0], message="w" * 10_000)])):
            assert not any(letter * 700 in text for letter in "wxyz")
        assert short("a\u202eb \n c" + "d" * 100) == "ab c" + "d" * 75 + "…"

    def test_the_report_keeps_its_looks(self) -> None:
        """No rule of these pages is for a class that means something in the report, such as a note."""
        report_css, own_css = (
            files("grader").joinpath(path).read_text(encoding="utf-8")
            for path in ("render/report.css", "gradebook/templates/gradebook.css")
        )
        ruled = {name for rule in re.findall(r"^\s*(\.[^{]*)\{", own_css, re.MULTILINE) for name in _alone(rule)}
        assert len(ruled) > 10
        assert not ruled & {*re.findall(r"\.([a-z]+)", report_css)}

    def test_the_same_gradebook_gives_the_same_bytes(self, gradebook: Class, tmp_path: Path) -> None:
        written = []
        for name in ("one", "two"):
            write_pages(gradebook, tmp_path / name)
            files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
            written.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files})
        assert written[0] == written[1]
        assert {*written[0]} == {CLASS_PAGE, *(page_name(grade.student) for grade in gradebook)}


@pytest.mark.parametrize("key", ["../up", "a/b", "", "a b", "a\\b", "ä", "x" * 300, "a\n", "a\x00"])
def test_an_unsafe_key_is_the_graders_fault(key: str) -> None:
    with pytest.raises(InternalError, match="unsafe key"):
        page_name(Student(key))


def test_a_safe_key_stays_below_the_folder() -> None:
    assert page_name(Student("..")) == "students/...html"
    assert page_name(Student("ada.l_1@example-x")) == "students/ada.l_1@example-x.html"


def test_a_folder_that_cannot_be_written_is_one_sentence(gradebook: Class, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GraderError, match="cannot be written"):
        write_pages(gradebook, tmp_path / "file")


_MEASURE = """<!doctype html><iframe id="frame" width="{width}" height="3000" srcdoc="{page}"></iframe><p id="out"></p>
<script>frame.onload = () => {{
  const page = frame.contentDocument;
  for (const details of page.querySelectorAll("details")) details.open = true;
  const seen = [page.documentElement.scrollWidth, frame.contentWindow.innerWidth, page.querySelectorAll("h1").length];
  out.textContent = "measured " + seen.join(" ");
}};</script>"""


@needs_browser
class TestBrowser:
    @pytest.mark.parametrize("width", [390, 1280])
    def test_nothing_overflows(self, gradebook: Class, tmp_path: Path, width: int) -> None:
        """The page as wide as a phone and a laptop, with everything unfolded, and with the longest names there are."""
        long = graded(Student("k" * 60, "N" * 200, "e" * 200), report(part("1a", check("c" * 80, Outcome.FAILED))))
        crowd = Class(gradebook.assignment, [*gradebook, long], [Unclaimed("u" * 200, "r" * 200)])
        shown = [grade for grade in crowd if grade.student.key in (long.student.key, "mean_loss", "una")]
        for i, text in enumerate([class_of(crowd), *(page_of(grade, crowd.assignment) for grade in shown)]):
            page = tmp_path / f"{i}.html"
            page.write_text(_MEASURE.format(width=width, page=html.escape(text)), encoding="utf-8")
            found = re.search(r"measured (\d+) (\d+) (\d+)", browse(page, "--dump-dom", "--window-size=1400,3100"))
            assert found is not None
            needed, available, headings = map(int, found.groups())
            assert (available, headings) == (width, 1)
            assert needed <= available, f"page {i} needs {needed} pixels"

    def test_no_request_leaves_a_page(self, assignment: Assignment, tmp_path: Path) -> None:
        with untouched_address() as address:
            hostile = (
                f'"><img src="{address}"></style><style>@import "{address}"</style><script src="{address}"></script>'
            )
            evil = Student("evil", hostile, hostile)
            bad = report(part("1a", check("c", Outcome.FAILED, title=hostile)))
            grades = [graded(evil, bad), Grade(replace(evil, key="evil2"), Status.FAULT, message=hostile)]
            write_pages(Class(assignment, grades, [Unclaimed(hostile, hostile)]), tmp_path)
            for name in (CLASS_PAGE, *(page_name(grade.student) for grade in grades)):
                assert address in browse(tmp_path / name, "--dump-dom")
