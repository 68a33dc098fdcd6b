"""The HTML report in a real browser: it opens, shows its content, and asks the network for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader import locations
from grader.grade import Grader
from grader.render.html import render_html
from grader.submission import Submission, load_submission
from tests.render.browser import browse, needs_browser, untouched_address


@pytest.fixture
def page(grader: Grader, tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    sample = locations.fixtures() / "sample_submissions" / "trimmed_by_gradient"
    path.write_text(render_html(grader.grade(load_submission(sample, locations.pristine()))), encoding="utf-8")
    return path


@needs_browser
class TestBrowser:
    def test_the_page_shows_score_checks_and_curves(self, page: Path) -> None:
        document = browse(page, "--dump-dom")
        assert "76.22" in document
        assert "the penalised elements are not the 3 of smallest magnitude" in document
        assert document.count("<svg") >= 20

    @pytest.mark.parametrize("size", ["1280,900", "500,900"])
    def test_the_page_is_drawn(self, page: Path, tmp_path: Path, size: str) -> None:
        shot = tmp_path / "shot.png"
        browse(page, f"--screenshot={shot}", f"--window-size={size}")
        assert shot.stat().st_size > 20_000  # a blank page of this size takes some 5 kB

    def test_a_submission_cannot_make_the_page_ask_the_network(self, grader: Grader, tmp_path: Path) -> None:
        with untouched_address() as address:
            hostile = (
                f'"></pre><img src="{address}"><style>@import "{address}"</style><script src="{address}"></script>'
            )
            code = f"def loss(X, y, w): raise ValueError({hostile!r})".encode()
            submission = Submission(hostile, {"lab1_sparse_optimization.py": code}, (hostile,))
            path = tmp_path / "report.html"
            path.write_text(render_html(grader.grade(submission, ["1a"])), encoding="utf-8")
            assert address in browse(path, "--dump-dom")
