"""The store: nothing is lost, nothing is graded twice, and a refusal is one sentence."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.gradebook import tables
from grader.gradebook.grades import ManualScore, Status, total_of
from grader.gradebook.intake import Intake, take_in
from grader.gradebook.keys import Keys, keys_of
from grader.gradebook.packing import pack
from grader.gradebook.store import VERSION, Result, Store
from tests.gradebook.fakes import made_up, make_class

KEYS = Keys("rubric", "checks", "reference")


@pytest.fixture
def store(store_url: Path | str) -> Iterator[Store]:
    with Store(store_url) as opened:
        yield opened


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    return take_in(make_class(tmp_path / "class", 3))


def _graded(assignment: Assignment, digest: str, status: Status = Status.GRADED) -> Result:
    return Result(digest, status, 1.0, "", pack(made_up(digest, assignment)))


def test_what_is_saved_comes_back(store: Store, intake: Intake, assignment: Assignment) -> None:
    store.begin(Path("class"), assignment, KEYS, intake)
    first, second, third = intake.found
    store.save(KEYS, _graded(assignment, first.digest))
    store.save(KEYS, Result(second.digest, Status.UNUSABLE, 0.1, "it is empty"))
    one, two, three = store.book(assignment, KEYS, curves=True)
    report = made_up(first.digest, assignment)
    assert one.report == report.model_copy(update={"submission": first.student.key})
    assert (two.status, two.message, two.report) == (Status.UNUSABLE, "it is empty", None)
    assert (three.status, three.student) == (Status.WAITING, third.student)
    assert store.graded(KEYS) == {first.digest, second.digest}


def test_a_fault_is_replaced_and_nothing_else_is(store: Store, intake: Intake, assignment: Assignment) -> None:
    store.begin(Path("class"), assignment, KEYS, intake)
    digest = intake.found[0].digest
    store.save(KEYS, Result(digest, Status.FAULT, 0.0, "no memory"))
    assert store.graded(KEYS) == set()
    store.save(KEYS, _graded(assignment, digest))
    store.save(KEYS, Result(digest, Status.UNUSABLE, 0.0, "too late"))
    store.save(KEYS, Result(digest, Status.FAULT, 0.0, "too late"))
    assert next(iter(store.book(assignment, KEYS))).status is Status.GRADED


def test_other_keys_keep_history(store: Store, intake: Intake, assignment: Assignment) -> None:
    store.begin(Path("class"), assignment, KEYS, intake)
    digest = intake.found[0].digest
    store.save(KEYS, _graded(assignment, digest))
    newer = KEYS._replace(rubric="changed")
    store.begin(Path("class"), assignment, newer, intake)
    assert store.graded(newer) == set()
    store.save(newer, Result(digest, Status.UNUSABLE, 0.0, "now"))
    assert next(iter(store.book(assignment, KEYS))).status is Status.GRADED
    assert next(iter(store.book(assignment, newer))).status is Status.UNUSABLE
    assert store.last_keys() == newer


def test_a_newer_hand_in_counts_and_the_older_stays(store: Store, tmp_path: Path, assignment: Assignment) -> None:
    folder = make_class(tmp_path / "class", 1)
    before = take_in(folder)
    store.begin(folder, assignment, KEYS, before)
    store.save(KEYS, _graded(assignment, before.found[0].digest))
    (folder / "student0000" / "answers.toml").write_text("# better\n")
    store.begin(folder, assignment, KEYS, take_in(folder))
    assert next(iter(store.book(assignment, KEYS))).status is Status.WAITING
    store.begin(folder, assignment, KEYS, before)  # and back again
    assert next(iter(store.book(assignment, KEYS))).status is Status.GRADED


def test_points_by_hand_are_kept_and_can_be_taken_back(store: Store, intake: Intake, assignment: Assignment) -> None:
    store.begin(Path("class"), assignment, KEYS, intake)
    key = intake.found[0].student.key
    store.give([(key, "1b", ManualScore(0.5, "half")), (key, "1c", ManualScore(1.0))])
    store.give([(key, "1b", ManualScore(1.0, "all")), (key, "1c", None)])
    assert next(iter(store.book(assignment, KEYS))).manual == {"1b": ManualScore(1.0, "all")}


def test_students_come_in_one_order_however_many(store: Store, tmp_path: Path, assignment: Assignment) -> None:
    intake = take_in(make_class(tmp_path / "many", 450))
    strange = [replace(found, student=replace(found.student, key=f"{'Zé-@._'[i % 4]}{i}")) for i, found in
               enumerate(intake.found)]  # fmt: skip
    strange = [item for item in strange if item.student.key.isascii()]
    store.begin(Path("many"), assignment, KEYS, Intake(tuple(strange), (), ()))
    keys = [grade.student.key for grade in store.book(assignment, KEYS)]
    assert keys == sorted(item.student.key for item in strange)


def test_all_correct_runs_are_kept_once(store: Store, intake: Intake, assignment: Assignment) -> None:
    store.begin(Path("class"), assignment, KEYS, intake)
    same = made_up("0" * 64, assignment)
    for found in intake.found:
        store.save(KEYS, Result(found.digest, Status.GRADED, 1.0, "", pack(same)))
    grades = list(store.book(assignment, KEYS, curves=True))
    assert [grade.report.curves for grade in grades if grade.report] == [same.curves] * 3
    assert len(pack(same).runs) == 1


def test_the_migrations_make_the_tables(store: Store, store_url: Path | str) -> None:
    engine = create_engine(store._url)
    found = inspect(engine)
    assert {*found.get_table_names()} == {*tables.metadata.tables, "alembic_version"}
    for name, table in tables.metadata.tables.items():
        columns = {column["name"]: column for column in found.get_columns(name)}
        assert columns.keys() == set(table.columns.keys()), name
        assert {c: columns[c]["nullable"] for c in columns} == {c.name: c.nullable for c in table.columns}, name
    engine.dispose()


def test_the_newest_migration_is_the_version() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from grader.gradebook.store import _MIGRATIONS

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == VERSION


def test_a_newer_grader_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gradebook.sqlite"
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(GraderError, match="newer grader"):
        Store(path)


def test_what_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "gradebook.sqlite"
    path.write_text("my notes\n" * 1000)
    with pytest.raises(GraderError, match="cannot be opened: file is not a database"):
        Store(path)
    assert path.read_text() == "my notes\n" * 1000


@pytest.mark.parametrize("url", ["nonsense", "mysql://x/y", "postgresql://nobody@127.0.0.1:1/none"])
def test_a_bad_url_is_one_sentence(url: str) -> None:
    with pytest.raises(GraderError, match=r"no URL|SQLite or PostgreSQL|cannot be opened"):
        Store(url)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(GraderError) as caught:
        Store("postgresql://nobody:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path, assignment: Assignment) -> None:
    disk, folder = tmp_path / "disk", make_class(tmp_path / "class", 2)
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=False).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        intake = take_in(folder)
        with Store(disk / "gradebook.sqlite") as store:
            store.begin(folder, assignment, KEYS, intake)
            store.save(KEYS, _graded(assignment, intake.found[0].digest))
            (disk / "filler").write_bytes(bytes(_free(disk)))
            huge = replace(_graded(assignment, intake.found[1].digest), message="x" * (1 << 20))
            with pytest.raises(GraderError, match=r"written: (database or disk is full|disk I/O error).*still there"):
                store.save(KEYS, huge)
            (disk / "filler").unlink()
        with Store(disk / "gradebook.sqlite") as store:
            assert store.graded(KEYS) == {intake.found[0].digest}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _free(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def test_keys_follow_the_rubric_but_not_the_late_rule(assignment: Assignment) -> None:
    late = assignment.model_copy(update={"late": assignment.late.model_copy(update={"percent_per_day": 10})})
    limits = assignment.limits.model_copy(update={"probe_seconds": 1})
    assert keys_of(assignment) == keys_of(late)
    changed = keys_of(assignment.model_copy(update={"limits": limits}))
    assert changed.rubric != keys_of(assignment).rubric and changed.checks == keys_of(assignment).checks


def test_totals_of_the_store_are_those_of_the_report(store: Store, intake: Intake, assignment: Assignment) -> None:
    store.begin(Path("class"), assignment, KEYS, intake)
    digest = intake.found[0].digest
    store.save(KEYS, _graded(assignment, digest))
    total = total_of(next(iter(store.book(assignment, KEYS))), assignment)
    assert total.points == pytest.approx(made_up(digest, assignment).score)


def test_whom_the_last_run_did_not_see_is_left_out_and_counted(
    store: Store, tmp_path: Path, assignment: Assignment
) -> None:
    folder = make_class(tmp_path / "class", 3)
    store.begin(folder, assignment, KEYS, take_in(folder))
    store.give([(f"student000{n}", "1a", ManualScore(1.0)) for n in (0, 1)])
    (folder / "student0001" / "answers.toml").unlink()
    (folder / "student0001").rmdir()
    store.begin(folder, assignment, KEYS, take_in(folder))
    assert [grade.student.key for grade in store.book(assignment, KEYS)] == ["student0000", "student0002"]
    assert store.left_out() == (1, 1)
    store.give([("student0001", "1a", None)])
    assert store.left_out() == (1, 0)


def test_a_run_remembers_its_rubric_and_late_rule(store: Store, intake: Intake, assignment: Assignment) -> None:
    assert store.last_assignment() is None
    late = assignment.late.model_copy(update={"percent_per_day": 10, "deadline": datetime(2026, 12, 1, tzinfo=UTC)})
    rubric = assignment.model_copy(update={"late": late})
    store.begin(Path("class"), rubric, KEYS, intake)
    assert store.last_assignment() == rubric
    assert keys_of(store.last_assignment() or assignment) == keys_of(rubric)
