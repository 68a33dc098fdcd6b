"""Where the project's folders are: in a checkout beside the package, in an installed wheel inside it."""

from __future__ import annotations

from pathlib import Path

from grader.errors import GraderError

__all__ = ["cache_folder", "default_assignment", "fixtures", "instructor_folder", "pretrained", "pristine"]

_PACKAGE = Path(__file__).resolve().parent


def _shipped(folder: str) -> Path:
    inside = _PACKAGE / "_data" / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


def default_assignment() -> Path:
    """The rubric of the course."""
    return _PACKAGE / "assignment.toml"


def pristine() -> Path:
    """The folder with the student template, whose provided files replace those of a submission."""
    return _shipped("student_template")


def fixtures() -> Path:
    """The folder with the goldens: ``public``, and in the instructor's checkout also ``hidden``."""
    return _shipped("fixtures")


def pretrained() -> Path:
    """The project's own pre-trained ResNet-20; a student's installation may lack it."""
    return fixtures() / "pretrained" / "resnet20.safetensors"


def instructor_folder(name: str) -> Path:
    """A folder that only the instructor's checkout has.

    Raises:
        GraderError: this is a student's installation.
    """
    folder = _PACKAGE.parent / name
    if not (folder.is_dir() and (_PACKAGE.parent / "pyproject.toml").is_file()):
        raise GraderError(f"{name}/ is not here: this command needs the instructor's checkout, not the student's kit")
    return folder


def cache_folder() -> Path:
    """The user's cache for goldens of other terms; created by whoever writes to it."""
    return Path.home() / ".cache" / "compression-lab-grader"
