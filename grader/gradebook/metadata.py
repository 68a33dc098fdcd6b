"""What Gradescope says of a submission in submission_metadata.json."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from grader.errors import GraderError

__all__ = ["Metadata", "read_metadata"]


class _Model(BaseModel):
    """Only what is used must have its type; Gradescope may add to the rest."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Dates(_Model):
    release_date: AwareDatetime | None = None
    due_date: AwareDatetime | None = None
    late_due_date: AwareDatetime | None = None


class _Assignment(_Dates):
    id: int | None = None
    course_id: int | None = None
    title: str = ""
    total_points: str | float | None = None
    group_size: int | None = None
    group_submission: bool = False


class _User(_Model):
    id: int | None = None
    name: str | None = None
    email: str | None = None
    assignment: _Dates | None = None
    """The user's own dates, where Gradescope tells of an extension."""


class _Previous(_Model):
    submission_time: AwareDatetime | None = None
    score: float | str | None = None
    autograder_error: bool | None = None
    results: Any = None


class Metadata(_Model):
    """The whole file."""

    id: int
    created_at: AwareDatetime
    submission_method: Literal["upload", "GitHub", "Bitbucket"] | str = "upload"
    assignment: _Assignment = _Assignment()
    users: tuple[_User, ...] = ()
    previous_submissions: tuple[_Previous, ...] = ()

    @property
    def due_date(self) -> datetime | None:
        """The latest date that the assignment, or any of those who hand in together, has."""
        own = [user.assignment.due_date for user in self.users if user.assignment]
        return max((date for date in (self.assignment.due_date, *own) if date is not None), default=None)


def read_metadata(path: Path) -> Metadata:
    """Read the file.

    Raises:
        GraderError: it is missing, or not what Gradescope documents.
    """
    try:
        return Metadata.model_validate_json(path.read_bytes())
    except OSError as error:
        raise GraderError(f"{path.name} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the file"
        raise GraderError(
            f"{path.name} is not what Gradescope documents: {where}: {error.errors()[0]['msg']}"
        ) from None
