"""The tables of the store, as the newest version has them; ``migrations/`` makes them, from any older version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

__all__ = ["Moment", "curves", "hand_ins", "manual_scores", "metadata", "results", "runs", "students", "unclaimed"]


class Moment(TypeDecorator[datetime]):
    """A point in time, in UTC: SQLite keeps no time zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Into the store."""
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Out of the store."""
        return value.replace(tzinfo=UTC) if value else None


_KEY = String(120).with_variant(String(120, collation="C"), "postgresql")
"""A student's key, in the same order everywhere."""

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("folder", Text, nullable=False),
    Column("assignment", Text, nullable=False),
    Column("rubric", String(64), nullable=False),
    Column("checks", String(64), nullable=False),
    Column("reference", String(64), nullable=False),
)
"""Each time that a class was graded, and with what; of the last one everything is shown."""

students = Table(
    "students",
    metadata,
    Column("key", _KEY, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("ids", JSON, nullable=False),
    Column("hand_in", Integer),
    Column("run", Integer, ForeignKey("runs.id"), nullable=False, index=True),
)
"""``hand_in`` is the one that counts; without one, the student is on the roster only. ``run`` last saw the student."""

hand_ins = Table(
    "hand_ins",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("student", _KEY, ForeignKey("students.key"), nullable=False, index=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("path", Text, nullable=False),
    Column("submitted_at", Moment),
    Column("marked_late", Boolean, nullable=False),
    Column("run", Integer, ForeignKey("runs.id"), nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("rubric", String(64), nullable=False),
    Column("checks", String(64), nullable=False),
    Column("reference", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("report", Text),
    Column("curves", JSON),
    Column("seconds", Float, nullable=False),
    Column("graded_at", Moment, nullable=False),
    UniqueConstraint("digest", "rubric", "checks", "reference"),
)
"""What grading a submission said; nothing is ever replaced but a fault of the grader.

``report`` is JSON; ``curves`` lists title, digest of the expected run, and digest of the student's or null.
"""

curves = Table(
    "curves",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
"""Lab 1 runs by the digest of their data: all correct ones of a class are the same."""

manual_scores = Table(
    "manual_scores",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("student", _KEY, ForeignKey("students.key"), nullable=False, index=True),
    Column("part", String(32), nullable=False),
    Column("points", Float),
    Column("comment", Text, nullable=False),
    Column("given_at", Moment, nullable=False),
)
"""What people gave; of several for one part the last counts, and one without points takes them back."""

unclaimed = Table(
    "unclaimed",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", Integer, ForeignKey("runs.id"), nullable=False, index=True),
    Column("path", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
