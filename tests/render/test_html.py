"""What the HTML page holds, and what it must never hold."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

import pytest

from grader.render.html import render_html
from grader.render.plots import draw_curve, parting_step
from grader.report import CheckReport, Curve, ManualItem, Outcome, PartReport, Report
from tests.render.page import Page

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y> {{ 7*7 }} \x1b[31m\u202ered\x00`<b>`"


def check(title: str = "Gradient is exact.", outcome: Outcome = Outcome.FAILED, **more: Any) -> CheckReport:
    given = {"points": float(outcome is Outcome.PASSED), "max_points": 1.0} | more
    return CheckReport(name="a_check", title=title, outcome=outcome, **given)


def part(*checks: CheckReport, **more: Any) -> PartReport:
    scores = {"score": sum(c.points for c in checks), "max_score": sum(c.max_points for c in checks)}
    given = {"id": "1a", "title": "Gradient and step", "manual_max": 0.0} | scores | more
    return PartReport(checks=checks, **given)


def report(*parts: PartReport, **more: Any) -> Report:
    score = sum(p.score for p in parts)
    possible = sum(p.max_score for p in parts if not p.bonus)
    given = {"submission": "ada", "profile": "quick", "score": score, "max_score": possible} | more
    return Report(parts=parts, **given)


def curve(**more: Any) -> Curve:
    """Two elements that approach 1 and -1; the loss falls by half a decade a step, to an exact zero."""
    weights = [[1 - 0.9**k, 0.9**k - 1] for k in range(41)]
    losses = [10 ** (-k / 2) for k in range(40)] + [0.0]
    given = {"title": "Gradient descent", "expected_weights": weights, "expected_losses": losses}
    return Curve(**(given | more))


def same(length: int = 41) -> Curve:
    expected = curve()
    return curve(weights=expected.expected_weights[:length], losses=expected.expected_losses[:length])


def full_report() -> Report:
    checks = [check(f"Property {outcome.value}.", outcome, message=f"because {outcome}") for outcome in Outcome]
    items = (
        ManualItem(part="p1.1", prompt="True or false?", text="False, they hover.", max_score=2),
        ManualItem(part="1b", prompt="Does w converge?", text="", max_score=1),
    )
    bonus = part(check("Levels.", Outcome.PASSED), id="bonus", title="Symmetric", bonus=True)
    note = check("Constant layers.", max_points=0.0, message="aside")
    return report(part(*checks, note), bonus, manual=items, notes=("Sandbox: rlimits.",), curves=(same(), curve()))


def test_page_is_well_formed_and_requests_nothing() -> None:
    text = render_html(full_report())
    page = Page(text)
    assert "http:" not in text and "https:" not in text and "url(" not in text and "@import" not in text
    assert not any(page.of(tag) for tag in ("script", "link", "img", "iframe", "object", "base"))
    assert not any({"src", "srcset", "xlink:href"} & set(attributes) for _, attributes in page.tags)
    assert all(str(a["href"]).startswith("#") for a in page.of("a"))
    policy = next(m["content"] for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_links_lead_somewhere_and_ids_are_unique() -> None:
    page = Page(render_html(full_report()))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for a in page.of("a")} <= set(ids)
    assert {a["aria-labelledby"] for a in page.of("section")} <= set(ids)


def test_page_is_accessible_in_outline() -> None:
    page = Page(render_html(full_report()))
    assert page.of("html") == [{"lang": "en"}]
    assert len(page.of("h1")) == len(page.of("main")) == len(page.of("header")) == 1
    assert {th.get("scope") for th in page.of("th")} == {"col", "row"}
    plots = [svg for svg in page.of("svg") if svg.get("role") == "img"]
    assert len(plots) == 4 and all(svg["aria-label"] for svg in plots)


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render_html(full_report()).encode() == render_html(full_report()).encode()


def test_score_bonus_and_manual_points_are_stated_apart() -> None:
    text = render_html(report(part(check(outcome=Outcome.PASSED), manual_max=2.0), full_report().parts[1]))
    assert "<strong>1</strong> <span>of 1 automatic points" in text
    assert "<b>+ 1</b> of 1 bonus" in text
    assert "up to <b>2</b> by hand" in text


def test_every_outcome_is_a_word_and_errors_are_the_graders_fault() -> None:
    text = render_html(full_report())
    for word in ("Passed", "Failed", "Timed out", "Skipped", "Grader error", "Note", "not scored"):
        assert word in text
    assert text.index("Not final.") < text.index('id="parts"')
    assert "tell the instructor" in text


def test_failed_parts_are_open_and_passed_ones_closed() -> None:
    page = Page(render_html(full_report()))
    assert {d["id"]: "open" in d for d in page.of("details")} == {"part-1a": True, "part-bonus": False}


def test_failed_check_shows_all_that_feedback_has() -> None:
    failed = check(message="See `w[0]`.", expected="[1.0]", received="[0.5]", diagnosis="Halved.", advice="Read.")
    text = render_html(report(part(failed)))
    assert "See <code>w[0]</code>." in text
    assert "<dt>Expected</dt><dd><pre>[1.0]</pre>" in text and "<dt>Received</dt><dd><pre>[0.5]</pre>" in text
    assert "<b>Why</b> Halved." in text and "<b>Advice</b> Read." in text


def test_shared_message_is_said_once() -> None:
    missing = [check(f"Property {i}.", message="`gradient` is still to be written.") for i in range(6)]
    text = render_html(report(part(*missing)))
    assert text.count("still to be written") == 1
    assert all(f"Property {i}." in text for i in range(6))


def test_hidden_check_is_marked_and_shows_its_title_only() -> None:
    secret = check(hidden=True)
    text = render_html(report(part(secret)))
    assert "hidden check" in text and "Gradient is exact." in text
    assert not any(word in text for word in ("seed 7", "4242", "because", "<b>Why", "<b>Advice"))


def test_hostile_text_stays_text() -> None:
    bad = check(HOSTILE, message=HOSTILE, expected=HOSTILE, received=HOSTILE, diagnosis=HOSTILE, advice=HOSTILE)
    items = tuple(ManualItem(part="1a", prompt=HOSTILE, text=text, max_score=1) for text in (HOSTILE, ""))
    text = render_html(
        report(
            part(bad, title=HOSTILE),
            submission=HOSTILE + "\udcff",
            notes=(HOSTILE,),
            manual=items,
            curves=(curve(title=HOSTILE),),
        )
    )
    page = Page(text)
    assert not page.of("script") and not page.of("img")
    assert not set(text) & set("\x1b\x00\u202e\udcff")
    assert "{{ 7*7 }}" in text and "&lt;script&gt;" in text and "<code>&lt;b&gt;</code>" in text
    text.encode("utf-8")


def test_written_answers_wait_or_are_still_empty() -> None:
    text = render_html(full_report())
    assert "1 waiting for a person, up to 2 points" in text and "False, they hover." in text
    assert "1 still empty in <code>answers.toml</code>" in text and "Does w converge?" in text


def test_sections_without_content_are_left_out() -> None:
    text = render_html(report(part(check(outcome=Outcome.PASSED))))
    assert not any(f'id="{name}"' in text for name in ("runs", "written", "notes"))
    Page(render_html(report()))


def paths(svg: str, kind: str) -> list[str]:
    return re.findall(rf'<path class="{kind} c\d" d="([^"]*)"', svg)


def test_student_line_is_drawn_over_the_expected_one() -> None:
    figure = draw_curve(same())
    for svg, lines in ((figure.loss, 1), (figure.weights, 2)):
        assert len(paths(svg, "expected")) == lines
        assert paths(svg, "received") == paths(svg, "expected")
        assert svg.rindex('class="expected') < svg.index('class="received')
    assert figure.state == "agrees" and "parting" not in figure.loss + figure.weights
    assert "every step from 0 to 40" in figure.words[0]


def test_log_axis_is_straight_for_geometric_decay() -> None:
    (d,) = paths(draw_curve(curve()).loss, "expected")
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", d)]
    falls = [b - a for a, b in pairwise(heights)]
    assert len(heights) == 40 and max(falls) - min(falls) < 0.21
    assert "10⁻¹⁰" in draw_curve(curve()).loss


def test_first_parting_step_is_marked_and_said() -> None:
    weights = [row[:] for row in curve().expected_weights]
    weights[7][1] += 1e-6
    losses = curve().expected_losses
    figure = draw_curve(curve(weights=weights, losses=losses))
    assert figure.state == "differs"
    assert "The weights part from the expected run at step 7." in figure.words
    assert "parting" not in figure.loss and ">step 7</text>" in figure.weights
    assert 'class="parting" d="M59.1 ' in figure.weights  # 7/40 of the plot's 338 pixels


def test_parting_together_is_one_sentence() -> None:
    shifted = [[a + 1, b] for a, b in curve().expected_weights]
    figure = draw_curve(curve(weights=shifted, losses=[v + 1 for v in curve().expected_losses]))
    assert figure.words[0] == "Loss and weights part from the expected run at step 0."


def test_rounding_is_no_parting() -> None:
    assert parting_step([[1 + 1e-12, 1e-16]], [[1.0, 0.0]]) is None
    assert parting_step([[1 + 1e-8, 0.0]], [[1.0, 0.0]]) == 0
    assert parting_step([[3e-29]], [[1e-30]], floor=1e-18) is None


@pytest.mark.parametrize(
    ("received", "step"),
    [
        ([[1.0], [math.nan]], 1),
        ([[1.0]], 1),
        ([[1.0], [2.0], [3.0]], 2),
        ([[1.0, 0.0], [2.0, 0.0]], 0),
        ([], 0),
    ],
)
def test_nan_length_and_shape_count_as_parting(received: list[list[float]], step: int) -> None:
    assert parting_step(received, [[1.0], [2.0]]) == step


def test_missing_run_draws_the_expected_one_alone() -> None:
    figure = draw_curve(curve())
    assert figure.state == "no run" and figure.words[0].startswith("No run was received")
    assert paths(figure.weights, "expected") and not paths(figure.weights, "received")
    assert "No record of losses received." in draw_curve(curve(weights=curve().expected_weights)).words


def test_short_run_parts_where_it_ends() -> None:
    figure = draw_curve(same(10))
    assert "part from the expected run at step 10." in figure.words[0]
    assert "The record of losses has 10 entries; steps 0 to 40 are 41." in figure.words


def test_numbers_without_a_place_leave_gaps() -> None:
    weights = [row[:] for row in curve().expected_weights]
    losses = list(curve().expected_losses)
    for k, value in ((10, math.nan), (11, math.inf), (12, -math.inf)):
        weights[k], losses[k] = [value, value], value
    losses[20], losses[21] = 0.0, -1.0
    figure = draw_curve(curve(weights=weights, losses=losses))
    assert [d.count("M") for d in paths(figure.weights, "received")] == [2, 2]
    assert [d.count("M") for d in paths(figure.loss, "received")] == [3]
    assert any("leave gaps" in sentence for sentence in figure.words)
    assert not re.search(r"nan|inf[^o]", figure.loss + figure.weights)


def test_a_lone_number_is_a_dot_and_a_level_line_has_two_ends() -> None:
    weights = [[1.0, math.nan] for _ in range(41)]
    weights[20][1] = 0.5
    level, dot = paths(draw_curve(curve(weights=weights)).weights, "received")
    assert re.fullmatch(r"M0\.0 ([\d.]+)h0L338\.0 \1", level)
    assert re.fullmatch(r"M169\.0 [\d.]+h0", dot)


def test_a_run_that_blows_up_is_cut_off_and_spares_the_rest() -> None:
    weights = [[(-10.0) ** (7 * k), 1e308] for k in range(41)]
    figure = draw_curve(curve(weights=weights, losses=[10.0 ** (7 * k) for k in range(41)]))
    assert paths(figure.weights, "expected") and "What lies far outside" in " ".join(figure.words)
    coordinates = re.findall(r"-?\d+\.\d", " ".join(paths(figure.weights, "received")))
    assert max(abs(float(c)) for c in coordinates) <= 2 * 338
    (swinging, _) = paths(figure.weights, "received")
    assert swinging.count("L") <= 2  # it leaves the frame once and does not sweep across it


@pytest.mark.parametrize("rows", [[], [[]], [[0.0]], [[0.0, 0.0]] * 3])
def test_degenerate_runs_are_drawn(rows: list[list[float]]) -> None:
    flat = Curve(title="t", expected_weights=rows, expected_losses=[0.0] * len(rows), weights=[[1.0]], losses=[])
    Page(render_html(report(curves=(flat,))))


def test_ragged_and_endless_runs_stay_within_the_panel() -> None:
    ragged = draw_curve(curve(weights=[[1.0]] * 5000, losses=[1.0] * 5000))
    assert len(paths(ragged.weights, "received")) == 2
    assert len(ragged.weights) < 20_000
