"""What a gradebook can be exported to, by the name that ``grader export`` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from grader.gradebook.exports import canvas, gradescope, junit, moodle, plain
from grader.gradebook.exports.common import Exported

__all__ = ["EXPORTERS"]

EXPORTERS: Mapping[str, Callable[..., Exported]] = {
    "canvas": canvas.write,
    "csv": plain.write,
    "gradescope": gradescope.write,
    "junit": junit.write,
    "moodle": moodle.write,
}
"""Each takes a gradebook, where to write, and keywords of its own."""
