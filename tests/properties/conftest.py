"""Property tests: the same examples on every machine and in every run, and nothing left behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "grader-hypothesis")  # its tables of Unicode characters
settings.register_profile("grader", derandomize=True, deadline=None, max_examples=50, database=None)
settings.load_profile("grader")
