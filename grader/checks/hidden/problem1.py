"""Hidden checks of problem 1: the verdicts. The right ones exist only in the instructor's checkout."""

from __future__ import annotations

from grader.checks.compare import require
from grader.session import Session


def _require_verdict(session: Session, part: str) -> None:
    require(session.written.problem is None, str(session.written.problem), harmless=True)
    require(part not in session.written.unread, f"the table of {part} in answers.toml is not valid TOML", harmless=True)
    verdict = session.verdict(part)
    where = f"the verdict of {part} in answers.toml"
    require(verdict, f'{where} is still to be written: "true" or "false"', harmless=True)
    require(verdict in ("true", "false"), f'{where} is neither "true" nor "false"', harmless=True)
    expected = session.hidden_facts("problem1/verdicts")[part]
    require((verdict == "true") == expected, "the verdict is wrong")


def check_verdict_1(session: Session) -> None:
    """Verdict on statement 1.1"""
    _require_verdict(session, "p1.1")


def check_verdict_2(session: Session) -> None:
    """Verdict on statement 1.2"""
    _require_verdict(session, "p1.2")


def check_verdict_3(session: Session) -> None:
    """Verdict on statement 1.3"""
    _require_verdict(session, "p1.3")


def check_verdict_4(session: Session) -> None:
    """Verdict on statement 1.4"""
    _require_verdict(session, "p1.4")


def check_verdict_5(session: Session) -> None:
    """Verdict on statement 1.5"""
    _require_verdict(session, "p1.5")
