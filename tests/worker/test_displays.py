"""What shows things in a notebook does nothing in a worker, however it is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.interview import Interview
from tests.worker.test_host import LAB1, LIMITS, _loss


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        ("from IPython.display import clear_output, display", "clear_output(wait=True); display(w)"),
        ("from IPython import display", "display.clear_output(wait=True); display.display(w)"),
        ("import IPython", "IPython.display.display(IPython.display.Markdown('x'))"),
        ("from IPython.display import *", "display(HTML('x'))"),
        ("import matplotlib.pyplot as plt", "display(plt.figure()); plt.ion(); plt.show()"),
    ],
)
def test_nothing_is_shown(tmp_path: Path, imports: str, call: str) -> None:
    (tmp_path / f"{LAB1}.py").write_text(f"{imports}\ndef loss(X, y, w):\n    {call}\n    return 3.0\n")
    with Interview(tmp_path, LIMITS) as interview:
        assert _loss(interview) == 3.0
