"""``grader batch --full``: a class of three that handed in networks, graded twice, by both profiles, and killed."""

from __future__ import annotations

import csv
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from grader import locations
from grader.assignment import Assignment, load_assignment
from grader.errors import GraderError
from grader.full.rerun import rerun_note
from grader.full.standard import FullOptions, Images, Materials, read_materials
from grader.full_options import full_options
from grader.gradebook.batch import Batch, grade_class, open_store
from grader.gradebook.grades import Grade, Status
from grader.gradebook.keys import keys_of
from grader.gradebook.profile import QUICK, Profile
from grader.report import Outcome
from tests.conftest import ROOT, checks_of
from tests.full.conftest import State, random_network
from tests.gradebook.fakes import FakeEngine, Silence
from tests.test_cli import run

SHORT = """
extends = "{rubric}"
without_parts = {others}
total = 6
automatic_total = 6
"""
"""The rubric of part 2(c) alone."""

EQUAL = "equal_networks.csv"
NETWORK = "net_after_finetune.pt"


@pytest.fixture(scope="module")
def rubric(assignment: Assignment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rubric") / "short.toml"
    others = [part for part in assignment.parts if part != "2c"]
    path.write_text(SHORT.format(rubric=locations.default_assignment().as_posix(), others=others))
    return path


def make_class(folder: Path, **networks: State) -> Path:
    """Everybody hands in Lab 2 of the reference, and a network of 2(c)."""
    for number, (name, state) in enumerate(networks.items()):
        own = folder / name
        own.mkdir(parents=True)
        code = (ROOT / "reference" / "lab2_pruning.py").read_bytes()
        (own / "lab2_pruning.py").write_bytes(code + f"\n# {number}\n".encode())
        torch.save(state, own / NETWORK)
    return folder


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_class(
        tmp_path_factory.mktemp("class"), ann=random_network(1), ben=random_network(2), cy=random_network(3)
    )


@pytest.fixture(scope="module")
def batch(rubric: Path, data: Path, pretrained_file: Path) -> Callable[..., tuple[int, str]]:
    """Runs ``grader batch``: exit status, and what it printed."""

    def call(folder: Path, out: Path, *more: object, full: bool = True) -> tuple[int, str]:
        profile = ("--full", "--data", data, "--pretrained", pretrained_file) if full else ()
        done = run("batch", folder, "--out", out, "--jobs", 2, "--assignment", rubric, *profile, *more, COLUMNS="200")
        return done.returncode, done.stdout + done.stderr

    return call


def book(out: Path) -> dict[str, Grade]:
    """Everybody's grade, by the keys of the last run."""
    with open_store(out) as store:
        keys, rubric = store.last_keys(), store.last_assignment()
        assert keys and rubric
        return {grade.student.key: grade for grade in store.book(rubric, keys)}


def test_everybodys_network_is_measured_and_profiles_do_not_mix(
    batch: Callable[..., tuple[int, str]], trio: Path, pretrained: State, tmp_path: Path
) -> None:
    folder, out = tmp_path / "class", tmp_path / "out"
    shutil.copytree(trio, folder)
    status, said = batch(folder, out)
    assert status == 0 and "3 graded now, 0 as before" in said, said
    grades = book(out)
    assert set(grades) == {"ann", "ben", "cy"}
    reports = [grade.report for grade in grades.values() if grade.report]
    assert {report.profile for report in reports} == {"full"}
    assert len({report.measurements[0].digest for report in reports}) == len(reports) == 3
    assert checks_of(reports[0])["finetuned_network_is_sparse"].outcome is Outcome.FAILED
    assert NETWORK in (out / "pages" / "students" / "ann.html").read_text()
    assert (out / EQUAL).read_text(encoding="utf-8-sig").count("\n") == 1 and "Equal networks" not in said

    (out / EQUAL).unlink()
    status, said = batch(folder, out)
    assert status == 0 and "0 graded now, 3 as before" in said, said
    assert (out / EQUAL).exists()

    status, said = batch(folder, out, full=False)
    assert status == 0 and "3 graded now, 0 as before" in said, said
    assert "Was --full forgotten?" in said
    assert {grade.report.profile for grade in book(out).values() if grade.report} == {"quick"}

    assert not (out / EQUAL).exists()

    copied = {f"module.{name}": tensor.double() for name, tensor in random_network(1).items()}
    torch.save({"state_dict": copied}, folder / "ben" / NETWORK)
    shutil.copytree(folder / "cy", folder / "dan")
    torch.save(pretrained, folder / "cy" / NETWORK)
    torch.save(pretrained, folder / "dan" / NETWORK)
    (folder / "dan" / "answers.toml").write_text("")
    status, said = batch(folder, out)
    assert status == 0 and "3 graded now, 1 as before" in said, said
    after = book(out)
    assert after["ann"].report == grades["ann"].report
    assert after["ben"].report != grades["ben"].report
    assert "Equal networks of different students (1)" in said
    assert f"ann: {NETWORK} (2c); ben: {NETWORK} (2c)" in said
    rows = list(csv.DictReader((out / EQUAL).read_text(encoding="utf-8-sig").splitlines()))
    assert [row["student"] for row in rows] == ["ann", "ben"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_run_goes_on(
    batch: Callable[..., tuple[int, str]], trio: Path, rubric: Path, data: Path, pretrained_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", "from grader.cli import main; main()", "batch", trio, "--out", out, "--full",
               "--data", data, "--pretrained", pretrained_file, "--assignment", rubric, "--jobs", "1"]  # fmt: skip
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, cwd=ROOT)
    deadline = time.monotonic() + 240
    while process.poll() is None and _results(out) == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = _results(out)
    assert 1 <= kept < 3
    status, said = batch(trio, out)
    assert status == 0 and f"{3 - kept} graded now, {kept} as before" in said, said


def _results(out: Path) -> int:
    import sqlite3

    try:
        with sqlite3.connect(f"file:{out / 'gradebook.sqlite'}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM results").fetchone()[0])
    except sqlite3.Error:
        return 0


def test_files_that_a_site_handed_out_one_by_one(
    batch: Callable[..., tuple[int, str]], trio: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "canvas"
    folder.mkdir()
    shutil.copy(trio / "ann" / "lab2_pruning.py", folder / "lovelaceada_17_4711_lab2_pruning.py")
    shutil.copy(trio / "ann" / NETWORK, folder / f"lovelaceada_17_4712_{NETWORK}")
    (folder / "stray.pt").write_bytes(b"")
    status, said = batch(folder, tmp_path / "out")
    assert status == 0 and "1 graded now" in said, said
    assert "stray.pt: a loose file that no course site named" in said
    (grade,) = book(tmp_path / "out").values()
    assert grade.report is not None and [row.network for row in grade.report.measurements] == [NETWORK]


def test_a_cluster_gets_the_images_with_the_submissions(
    rubric: Path, trio: Path, data: Path, pretrained_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    from distributed import LocalCluster

    from grader.gradebook.cluster import ClusterEngine

    short = load_assignment(rubric)
    profile = Profile(read_materials(short, FullOptions(data, pretrained_file), locations.pristine()))
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        open_store(tmp_path / "out") as store,
    ):
        engine = ClusterEngine(cluster.scheduler_address, short, profile=profile)
        grade_class(trio, store, short, engine, Silence(), profile=profile)
    grades = book(tmp_path / "out")
    assert {grade.status for grade in grades.values()} == {Status.GRADED}, [grade.message for grade in grades.values()]
    reports = [grade.report for grade in grades.values() if grade.report]
    assert [row.network for report in reports for row in report.measurements] == [NETWORK] * 3


@pytest.mark.parametrize("command", ["check", "batch"])
def test_options_of_the_full_profile_are_checked_alike(command: str, trio: Path, tmp_path: Path) -> None:
    where = [trio, "--out", tmp_path / "out"] if command == "batch" else [trio / "ann"]
    lacks = "--rerun-minutes is for a re-run: add --rerun K"
    for options, sentence in (
        (["--rerun", "1"], "--rerun is for the full profile: add --full"),
        (["--rerun-minutes", "1"], "--rerun-minutes is for the full profile: add --full"),
        (["--full", "--rerun-minutes", "1"], lacks),
        (["--full", "--rerun-device", "cuda"], "--rerun-device is for a re-run: add --rerun K"),
    ):  # fmt: skip
        done = run(command, *where, *options)
        assert (done.returncode, done.stderr) == (2, f"grader: {sentence}\n")
    done = run(command, *where, "--full", "--pretrained", tmp_path / "none.pt")
    assert done.returncode == 2 and "none.pt is not there: name the class's checkpoint" in done.stderr
    assert "graded" not in done.stdout


@pytest.mark.parametrize("minutes", [float("inf"), 1e300, float("nan"), 0.0, -1.0])
def test_the_minutes_of_a_training_are_a_finite_number(minutes: float) -> None:
    with pytest.raises(GraderError, match=r"^--rerun-minutes is \S+, but must be a number from 0\.01 to 10,000$"):
        full_options(True, None, None, 1, minutes, None)


# --- what a result depends on


@pytest.fixture(scope="module")
def materials(assignment: Assignment, data: Path, pretrained_file: Path) -> Materials:
    return read_materials(assignment, FullOptions(data, pretrained_file, 1, 30), locations.pristine())


def test_keys_depend_on_what_is_measured_by_and_not_on_deadlines(
    assignment: Assignment, materials: Materials, data: Path, pretrained_file: Path, tmp_path: Path
) -> None:
    def keys(options: FullOptions) -> str:
        return Profile(read_materials(assignment, options, locations.pristine())).keys(assignment).checks

    assert QUICK.keys(assignment) == keys_of(assignment)
    known = Profile(materials).keys(assignment).checks
    shutil.copytree(data, tmp_path / "elsewhere")
    assert keys(FullOptions(tmp_path / "elsewhere", pretrained_file, 1, 5)) == known
    images = shutil.copytree(data, tmp_path / "others") / "test"
    shutil.copy(images / "cat" / "0000.png", images / "dog" / "0000.png")
    other = tmp_path / "other.safetensors"
    save_file(random_network(4), other)
    different = [
        keys(options)
        for options in (
            FullOptions(data, pretrained_file),
            FullOptions(data, pretrained_file, 2),
            FullOptions(tmp_path / "others", pretrained_file, 1),
            FullOptions(data, other, 1),
        )
    ]
    assert len({known, *different, keys_of(assignment).checks}) == 6


def test_a_judge_has_a_deadline_of_the_profile(assignment: Assignment, materials: Materials) -> None:
    quick = QUICK.seconds(assignment)
    full = Profile(materials).seconds(assignment)
    assert quick == assignment.limits.submission_seconds + 180
    assert full >= quick + 3 * 60 * materials.options.rerun_minutes
    assert full < 4 * 60 * 60
    # What fails on a GPU at the end of its time has the same time on the CPU.
    on_gpu = replace(materials, options=replace(materials.options, rerun_device="cuda"))
    assert Profile(on_gpu).seconds(assignment) >= quick + 6 * 60 * materials.options.rerun_minutes


def test_another_recipe_is_another_result_where_trainings_are_run_again(
    assignment: Assignment, materials: Materials
) -> None:
    steeper = assignment.model_copy(update={"training": assignment.training.model_copy(update={"lr": 0.01})})
    plain = replace(materials, options=replace(materials.options, rerun=0))
    assert Profile(materials).keys(steeper) != Profile(materials).keys(assignment)
    assert Profile(plain).keys(steeper) == Profile(plain).keys(assignment)


def test_what_ran_out_of_time_is_tried_again_on_other_terms_only(
    tmp_path: Path, assignment: Assignment, materials: Materials, trio: Path
) -> None:
    """Of two re-runs one timed out; it alone is graded again, and only when there is more time."""
    late = rerun_note(materials.options)

    def grade(minutes: float) -> Batch:
        options = FullOptions(rerun=1, rerun_minutes=minutes)
        profile = Profile(Materials(options, "net", materials.digest, {}, Images(()), Images(())))
        with open_store(tmp_path / "out") as store:
            return grade_class(trio, store, assignment, FakeEngine(assignment), Silence(), profile=profile)

    batch = grade(30)
    assert batch.graded == 3
    _say_that_one_was_late(tmp_path / "out", late)
    assert (grade(30).graded, grade(90).graded, grade(90).graded) == (0, 1, 0)


def _say_that_one_was_late(out: Path, note: str) -> None:
    import sqlite3

    from grader.gradebook.packing import unpack

    with sqlite3.connect(out / "gradebook.sqlite") as connection:
        number, told = connection.execute("SELECT id, report FROM results ORDER BY id LIMIT 1").fetchone()
        report = unpack(told)
        part = next(part for part in report.parts if part.id == "2c")
        late = part.checks[0].model_copy(update={"name": "rerun_of_finetuning", "outcome": Outcome.TIMEOUT})
        changed = part.model_copy(update={"checks": (late,)})
        parts = tuple(changed if one.id == "2c" else one for one in report.parts)
        report = report.model_copy(update={"parts": parts, "notes": (note,)})
        connection.execute("UPDATE results SET report = ? WHERE id = ?", (report.model_dump_json(), number))
