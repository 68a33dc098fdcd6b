"""``grader autograder build``: the zip that an instructor uploads to Gradescope, with everything in it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from grader import __version__, locations
from grader.assignment import Assignment
from grader.authoring.archive import write_archive
from grader.errors import GraderError
from grader.gradebook.exports.gradescope import Hidden

__all__ = ["build_autograder", "requirements"]

_HERE = Path(__file__).parent
_FOLDERS = ("fixtures", "grader", "reference", "student_template")
_FILES = ("LICENSE", "README.md", "pyproject.toml")
_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_DEPENDENCY = re.compile(r"(?P<name>[\w-]+)>=(?P<lowest>[\d.]+)")


def build_autograder(out: Path, assignment: Assignment, *, hidden: str = "title", leaderboard: bool = False) -> Path:
    """Write ``compression-lab-autograder-VERSION.zip`` to ``out``.

    Args:
        out: a folder.
        assignment: the rubric of the term.
        hidden: what students see of hidden checks, see ``Hidden``.
        leaderboard: show the class who has how many points.

    Raises:
        GraderError: ``hidden`` is none of these, or this is not the instructor's checkout.
    """
    root = locations.instructor_folder("reference").parent
    options = f"--hidden {_known(hidden).value}{' --leaderboard' if leaderboard else ''}"
    files = dict(_source(root)) | {
        "requirements.txt": requirements((root / "pyproject.toml").read_text(encoding="utf-8")).encode(),
        "rubric.json": _canonical(assignment),
        "run_autograder": (_HERE / "autograder_run.sh").read_bytes().replace(b"OPTIONS", options.encode()),
        "setup.sh": (_HERE / "autograder_setup.sh").read_bytes(),
    }
    path = out / f"compression-lab-autograder-{__version__}.zip"
    return write_archive(path, files, executable=("run_autograder", "setup.sh"))


def _known(hidden: str) -> Hidden:
    try:
        return Hidden(hidden)
    except ValueError:
        raise GraderError(f"--hidden is {hidden!r}, but must be one of {', '.join(Hidden)}") from None


def _source(root: Path) -> Iterator[tuple[str, bytes]]:
    """Everything that grading needs; nothing that only happens to lie in the checkout."""
    paths = [root / name for name in _FILES]
    paths += [path for folder in _FOLDERS for path in (root / folder).rglob("*") if path.is_file()]
    for path in paths:
        name = path.relative_to(root)
        if not any(part.startswith((".", "__pycache__")) for part in name.parts):
            yield name.as_posix(), path.read_bytes()


def requirements(project: str) -> str:
    """A requirements file: each package in the lowest version that pyproject.toml allows, with its bug fixes; no GPU.

    Raises:
        GraderError: a dependency has no lower bound.
    """
    lines = [f"--extra-index-url {_CPU_INDEX}"]
    for dependency in tomllib.loads(project)["project"]["dependencies"]:
        found = _DEPENDENCY.fullmatch(dependency)
        if found is None:
            raise GraderError(f"pyproject.toml: {dependency!r} has no lower bound alone, such as numpy>=1.26")
        lines.append(f"{found['name']}=={found['lowest']}.*")
    return "\n".join(lines) + "\n"


def _canonical(assignment: Assignment) -> bytes:
    """The rubric with whatever it extends, the same bytes for the same rubric."""
    data = assignment.model_dump(mode="json") | {"left_out": sorted(assignment.left_out)}
    return json.dumps(data, indent=2, ensure_ascii=False).encode() + b"\n"
