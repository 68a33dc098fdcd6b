"""The gradebook on disk: SQLite in one file, or PostgreSQL by URL; nothing in it is ever lost or graded twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    create_engine,
    event,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.gradebook import tables
from grader.gradebook.grades import Grade, HandIn, ManualScore, Status, Student, Unclaimed
from grader.gradebook.intake import Found, Intake
from grader.gradebook.keys import Keys
from grader.gradebook.packing import Packed, unpack
from grader.report import Report

__all__ = ["Book", "Result", "Store"]

VERSION = "0001"
"""The newest migration."""

_CHUNK = 200
_MIGRATIONS = Path(__file__).with_name("migrations")


@dataclass(frozen=True, slots=True)
class Result:
    """What grading one submission said: ``status`` is graded, unusable or fault."""

    digest: str
    status: Status
    seconds: float
    message: str = ""
    packed: Packed | None = None


class Store:
    """The one place where results are kept; every method is one transaction.

    Args:
        where: a file for SQLite, or a URL such as ``postgresql+psycopg://user@host/course``.

    Raises:
        GraderError: it cannot be opened, or a newer grader made it.
    """

    def __init__(self, where: Path | str) -> None:
        self._url = _url(where)
        self.name = self._url.render_as_string(hide_password=True) if isinstance(where, str) else str(where)
        self._known_runs: set[str] = set()
        with self._telling("opened"):
            self._engine = _engine(self._url)
            self._migrate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections."""
        self._engine.dispose()

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Say in one sentence what the database refuses."""
        try:
            yield
        except SQLAlchemyError as error:
            told = " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())[:300]
            raise GraderError(f"the store {self.name} cannot be {what}: {told}; what it held is still there") from None

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._telling("written"), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._telling("read"), self._engine.connect() as connection:
            yield connection

    def _migrate(self) -> None:
        with self._engine.connect() as connection:
            found = _version(connection)
        if found == VERSION:
            return
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            raise GraderError(f"the store {self.name} was made by a newer grader: update this one")
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def begin(self, folder: Path, assignment: Assignment, keys: Keys, intake: Intake) -> int:
        """Note who is in the class and what was handed in; returns the number of this run."""
        with self._writing() as connection:
            rubric = json.dumps(assignment.model_dump(mode="json"), sort_keys=True)
            values = {"started_at": _now(), "folder": str(folder), "assignment": rubric, **keys._asdict()}
            run = _inserted(connection, tables.runs, values)
            people = {item.student.key: item.student for item in intake.found}
            people |= {student.key: student for student in intake.missing}
            _note_students(connection, run, people)
            _note_hand_ins(connection, run, intake.found)
            _insert_all(connection, tables.unclaimed, [
                {"run": run, "path": item.path, "reason": item.reason} for item in intake.unclaimed
            ])  # fmt: skip
        return run

    def finish(self, run: int) -> None:
        """Note that a run is complete."""
        with self._writing() as connection:
            connection.execute(update(tables.runs).where(tables.runs.c.id == run).values(finished_at=_now()))

    def graded(self, keys: Keys) -> set[str]:
        """Digests of the submissions that need not be graded again."""
        results = tables.results.c
        wanted = select(results.digest).where(_with(keys), results.status != Status.FAULT)
        with self._reading() as connection:
            return set(connection.scalars(wanted))

    def reopen(self, keys: Keys, outdated: Callable[[Report], bool]) -> None:
        """Call graded results faults of the grader, if their report is ``outdated``: they are to be made again."""
        results = tables.results.c
        wanted = select(results.id, results.report).where(_with(keys), results.status == Status.GRADED)
        with self._writing() as connection:
            again = [row.id for row in connection.execute(wanted) if outdated(unpack(row.report))]
            told = {"status": Status.FAULT.value, "message": "to be graded again"}
            for number in again:
                connection.execute(update(tables.results).where(results.id == number).values(told))

    def save(self, keys: Keys, result: Result) -> None:
        """Keep a result; of two for the same submission the first counts, unless it is a fault of the grader."""
        row = {
            "digest": result.digest,
            **keys._asdict(),
            "status": result.status.value,
            "message": result.message,
            "report": result.packed.report if result.packed else None,
            "curves": result.packed.curves if result.packed else None,
            "seconds": result.seconds,
            "graded_at": _now(),
        }
        with self._writing() as connection:
            fresh = {} if result.packed is None else result.packed.runs
            new = [{"digest": d, "data": data} for d, data in fresh.items() if d not in self._known_runs]
            if new:
                connection.execute(_insert(connection, tables.curves).on_conflict_do_nothing(), new)
            insert = _insert(connection, tables.results).values(row)
            connection.execute(
                insert.on_conflict_do_update(
                    index_elements=["digest", *Keys._fields],
                    set_={name: insert.excluded[name] for name in row},
                    where=tables.results.c.status == Status.FAULT.value,
                )
            )
        self._known_runs.update(fresh)

    def give(self, scores: Sequence[tuple[str, str, ManualScore | None]]) -> None:
        """Keep what a person gave: student's key, part, and score, or None to take it back."""
        rows = [
            {"student": student, "part": part, "points": score and score.points,
             "comment": score.comment if score else "", "given_at": _now()}
            for student, part, score in scores
        ]  # fmt: skip
        with self._writing() as connection:
            _insert_all(connection, tables.manual_scores, rows)

    def book(self, assignment: Assignment, keys: Keys, *, curves: bool = False) -> Book:
        """The gradebook of the newest hand-ins and their results by these keys; ``curves`` costs time and memory."""
        return Book(self, assignment, keys, curves)

    def last_keys(self) -> Keys | None:
        """What the last run graded with; None before the first."""
        with self._reading() as connection:
            row = connection.execute(select(tables.runs).order_by(tables.runs.c.id.desc()).limit(1)).first()
        return Keys(row.rubric, row.checks, row.reference) if row else None

    def last_assignment(self) -> Assignment | None:
        """The rubric that the last run graded by, with its rule for late days; None before the first."""
        with self._reading() as connection:
            told = connection.scalar(select(tables.runs.c.assignment).order_by(tables.runs.c.id.desc()).limit(1))
        return Assignment.model_validate_json(told) if told else None

    def last_is_full(self) -> bool:
        """Whether the last run graded by the full profile, as far as it has a report."""
        keys = self.last_keys()
        if keys is None:
            return False
        wanted = select(tables.results.c.report).where(_with(keys), tables.results.c.report.is_not(None)).limit(1)
        with self._reading() as connection:
            told = connection.scalar(wanted)
        return told is not None and unpack(told).profile == "full"

    def left_out(self) -> tuple[int, int]:
        """How many students of earlier runs the last one did not see, and how many of these have points by hand.

        They are in the store, and in no gradebook.
        """
        unseen = select(tables.students.c.key).where(tables.students.c.run != _last())
        with self._reading() as connection:
            students = list(connection.scalars(unseen))
            return len(students), sum(map(bool, _manual_scores(connection, unseen).values()))

    def unclaimed(self) -> list[Unclaimed]:
        """What the last run found that belongs to nobody."""
        wanted = select(tables.unclaimed).where(tables.unclaimed.c.run == _last()).order_by(tables.unclaimed.c.id)
        with self._reading() as connection:
            return [Unclaimed(row.path, row.reason) for row in connection.execute(wanted)]

    def fingerprint(self, keys: Keys) -> Iterator[str]:
        """Lines that differ where anything that ``grades`` or ``unclaimed`` says does."""
        students, hand_ins, results = tables.students.c, tables.hand_ins.c, tables.results.c
        about = (students.key, students.name, students.email, students.ids)
        told = select(*about, hand_ins.path, hand_ins.submitted_at, hand_ins.marked_late, results.id, results.graded_at)
        told = told.select_from(_joined(keys)).where(_in_class()).order_by(students.key)
        with self._reading() as connection:
            for row in connection.execute(told):
                yield repr(tuple(row))
            yield repr(connection.scalar(select(func.max(tables.manual_scores.c.id))))
        yield from map(repr, self.unclaimed())

    def grades(self, keys: Keys, *, curves: bool) -> Iterator[Grade]:
        """All students by key, some hundred at a time."""
        last = ""
        while True:
            with self._reading() as connection:
                rows = list(connection.execute(_chunk_after(last, keys)))
                names = [row.key for row in rows]
                manual = _manual_scores(connection, names)
                runs = _runs_of(connection, rows) if curves else {}
            for row in rows:
                yield _grade(row, manual.get(row.key, {}), runs)
            if len(rows) < _CHUNK:
                return
            last = rows[-1].key


class Book:
    """A Gradebook read from a store."""

    def __init__(self, store: Store, assignment: Assignment, keys: Keys, curves: bool) -> None:
        self.assignment = assignment
        self._store = store
        self._keys = keys
        self._curves = curves

    def __iter__(self) -> Iterator[Grade]:
        return self._store.grades(self._keys, curves=self._curves)

    def unclaimed(self) -> list[Unclaimed]:
        """What the last run found that belongs to nobody."""
        return self._store.unclaimed()

    def with_curves(self) -> Book:
        """The same with the Lab 1 runs in the reports, which costs time and memory."""
        return Book(self._store, self.assignment, self._keys, True)

    def fingerprint(self) -> Iterator[str]:
        """Lines that differ where anything in the gradebook does."""
        return self._store.fingerprint(self._keys)


def _url(where: Path | str) -> URL:
    if isinstance(where, Path):
        return URL.create("sqlite", database=str(where))
    try:
        url = make_url(where)
    except (ArgumentError, ValueError):
        raise GraderError(f"{where!r} is no URL of a database, such as postgresql://user@host/course") from None
    if url.get_backend_name() not in ("postgresql", "sqlite"):
        raise GraderError(f"the store may be SQLite or PostgreSQL, not {url.get_backend_name()}")
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _engine(url: URL) -> Engine:
    try:
        engine = create_engine(url)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise GraderError(f"this store needs {error}: install compression-lab-grader[postgres]") from None
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    """Transactions are SQLAlchemy's to begin: Python's own would leave out the making of tables."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _version(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _now() -> datetime:
    return datetime.now(UTC)


def _insert(connection: Connection, table: Table) -> Any:
    """An INSERT that may say ON CONFLICT, which each dialect has its own for."""
    return (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(table)


def _insert_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), rows)


def _inserted(connection: Connection, table: Table, values: Mapping[str, Any]) -> int:
    number: int = connection.execute(table.insert().values(values)).inserted_primary_key[0]  # type: ignore[index]
    return number


def _note_students(connection: Connection, run: int, people: Mapping[str, Student]) -> None:
    rows = [{"key": s.key, "name": s.name, "email": s.email, "ids": dict(s.ids), "run": run} for s in people.values()]
    if rows:
        insert = _insert(connection, tables.students)
        known = {name: insert.excluded[name] for name in ("name", "email", "ids", "run")}
        connection.execute(insert.on_conflict_do_update(index_elements=["key"], set_=known), rows)


def _note_hand_ins(connection: Connection, run: int, found: Sequence[Found]) -> None:
    """A hand-in that is there already is kept; the newest of each student counts from now on."""
    columns = tables.hand_ins.c
    kept = {
        (row.student, row.digest, row.path, row.submitted_at, row.marked_late): row.id
        for row in connection.execute(select(tables.hand_ins).order_by(columns.id))
    }
    current = []
    for item in found:
        hand_in = item.hand_in
        told = (item.student.key, item.digest, hand_in.path, hand_in.submitted_at, hand_in.marked_late)
        number = kept.get(told)
        if number is None:
            values = dict(zip(("student", "digest", "path", "submitted_at", "marked_late"), told, strict=True))
            number = _inserted(connection, tables.hand_ins, {**values, "run": run})
        current.append({"who": item.student.key, "number": number})
    if current:
        students = tables.students
        statement = update(students).where(students.c.key == bindparam("who")).values(hand_in=bindparam("number"))
        connection.execute(statement, current)


def _with(keys: Keys) -> Any:
    results = tables.results.c
    return and_(results.rubric == keys.rubric, results.checks == keys.checks, results.reference == keys.reference)


def _last() -> Any:
    return select(func.max(tables.runs.c.id)).scalar_subquery()


def _in_class() -> Any:
    """Those whom the last run saw, in the folder or on the roster."""
    return tables.students.c.run == _last()


def _joined(keys: Keys) -> Any:
    """Students with the hand-in that counts and its result, as far as there are any."""
    hand_ins, results = tables.hand_ins.c, tables.results.c
    return tables.students.outerjoin(tables.hand_ins, tables.students.c.hand_in == hand_ins.id).outerjoin(
        tables.results, and_(results.digest == hand_ins.digest, _with(keys))
    )


def _chunk_after(last: str, keys: Keys) -> Any:
    students, hand_ins, results = tables.students.c, tables.hand_ins.c, tables.results.c
    columns = (students.key, students.name, students.email, students.ids, hand_ins.path, hand_ins.submitted_at,
               hand_ins.marked_late, results.status, results.message, results.report, results.curves,
               results.seconds)  # fmt: skip
    return (
        select(*columns)
        .select_from(_joined(keys))
        .where(_in_class(), students.key > last)
        .order_by(students.key)
        .limit(_CHUNK)
    )


def _manual_scores(
    connection: Connection, students: Sequence[str] | Select[tuple[str]]
) -> dict[str, dict[str, ManualScore]]:
    columns = tables.manual_scores.c
    found: dict[str, dict[str, ManualScore]] = {}
    wanted = select(tables.manual_scores).where(columns.student.in_(students)).order_by(columns.id)
    for row in connection.execute(wanted):
        scores = found.setdefault(row.student, {})
        scores.pop(row.part, None)
        if row.points is not None:
            scores[row.part] = ManualScore(row.points, row.comment)
    return found


def _runs_of(connection: Connection, rows: Sequence[Row[Any]]) -> dict[str, bytes]:
    digests = {digest for row in rows for _, *pair in row.curves or () for digest in pair if digest}
    wanted = select(tables.curves).where(tables.curves.c.digest.in_(digests))
    return {row.digest: row.data for row in connection.execute(wanted)}


def _grade(row: Row[Any], manual: Mapping[str, ManualScore], runs: Mapping[str, bytes]) -> Grade:
    student = Student(row.key, row.name, row.email, row.ids)
    if row.path is None:
        return Grade(student, Status.MISSING, message="nothing was handed in", manual=manual)
    hand_in = HandIn(row.path, row.submitted_at, row.marked_late)
    if row.status is None:
        return Grade(student, Status.WAITING, hand_in, message="not graded yet", manual=manual)
    report = unpack(row.report, row.curves, runs) if row.report else None
    if report is not None:
        report = report.model_copy(update={"submission": student.name or student.key})
    return Grade(student, Status(row.status), hand_in, report, row.message, manual, row.seconds)
