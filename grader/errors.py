"""The whole exception tree of the grader.

An error meant for a person is one sentence: what is wrong, where, and what to do.
"""

from collections.abc import Sequence
from typing import Self

__all__ = [
    "AssignmentError",
    "CatalogueError",
    "CheckFailed",
    "CheckTimedOut",
    "GraderError",
    "InternalError",
    "StaleOutput",
    "TooLarge",
    "UnusableSubmission",
    "WireError",
]


class GraderError(Exception):
    """Root of every error that the grader raises on purpose."""


class AssignmentError(GraderError):
    """assignment.toml (or a term file) says something impossible."""


class CatalogueError(GraderError):
    """An entry of the catalogue names a function or a check that does not exist, or does not fit it."""


class UnusableSubmission(GraderError):
    """The path that was handed in holds nothing that can be graded."""


class TooLarge(UnusableSubmission):
    """A file is larger than any that is worth reading."""


class StaleOutput(GraderError):
    """A generated folder differs from what its source generates now."""


class InternalError(GraderError):
    """A fault of the grader: never charged to a student."""


class WireError(GraderError):
    """A worker sent bytes that are not a well-formed, affordable answer."""


class CheckFailed(GraderError):
    """A property of a student's answer does not hold.

    ``expected`` and ``received`` are short renderings of a few numbers; ``advice`` says what to read or try.
    ``harmless`` means that the judge's own words give nothing of a hidden case away.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: str | None = None,
        received: str | None = None,
        advice: str | None = None,
        harmless: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.received = received
        self.advice = advice
        self.harmless = harmless

    @classmethod
    def together(cls, failures: "Sequence[CheckFailed]") -> "CheckFailed":
        """One failure that says what every one of them does."""
        return CheckFailed(
            ". ".join(failure.message for failure in failures),
            expected="; ".join(failure.expected for failure in failures if failure.expected) or None,
            received="; ".join(failure.received for failure in failures if failure.received) or None,
            advice=" ".join(dict.fromkeys(failure.advice for failure in failures if failure.advice)) or None,
        )

    def again(self) -> Self:
        """A fresh copy, for every further check that needed the same answer."""
        return type(self)(
            self.message,
            expected=self.expected,
            received=self.received,
            advice=self.advice,
            harmless=self.harmless,
        )


class CheckTimedOut(CheckFailed):
    """The student's code gave no answer before the deadline."""
