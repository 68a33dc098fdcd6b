"""Every layout that course sites hand out, and everything odd that lies in it."""

from __future__ import annotations

import os
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grader.errors import GraderError, InternalError, UnusableSubmission
from grader.gradebook.grades import Status, Student
from grader.gradebook.intake import Intake, digest_of_files, take_in
from grader.gradebook.roster import Roster, identity, read_roster, with_unique_keys
from grader.gradebook.run import Job, grade_submission


def _write(folder: Path, *paths: str, content: str = "x = 1\n") -> Path:
    for path in paths:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    return folder


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("FP_layers.py", "x = 1\n")


def _job(files: dict[str, Path]) -> Job:
    return Job(digest_of_files(files), files)


def _taken(intake: Intake) -> dict[str, str]:
    return {found.student.key: found.hand_in.path for found in intake.found}


def _left(intake: Intake) -> dict[str, str]:
    return {item.path: item.reason for item in intake.unclaimed}


def test_directories_zips_and_notebooks_are_named_after_students(tmp_path: Path) -> None:
    _write(tmp_path, "ada/FP_layers.py", "grace.ipynb", ".DS_Store", "__MACOSX/x", "notes.txt", "FP_layers.py")
    _write(tmp_path, "out/gradebook.sqlite", "out/pages/index.html")
    _zip(tmp_path / "alan.zip")
    intake = take_in(tmp_path)
    assert _taken(intake) == {"ada": "ada", "alan": "alan.zip", "grace": "grace.ipynb"}
    assert _left(intake).keys() == {"notes.txt", "FP_layers.py", "out"}
    assert "put each student's files into one folder" in _left(intake)["FP_layers.py"]


def test_a_link_out_of_the_folder_is_listed_and_not_followed(tmp_path: Path) -> None:
    secret = _write(tmp_path / "elsewhere", "FP_layers.py")
    folder = _write(tmp_path / "class", "ada/FP_layers.py")
    os.symlink(secret, folder / "eve")
    os.mkfifo(folder / "pipe.zip")
    intake = take_in(folder)
    assert _taken(intake) == {"ada": "ada"}
    assert _left(intake) == {"eve": "a link, which is not followed", "pipe.zip": "neither a file nor a folder"}


def test_a_numbered_attempt_counts_where_there_is_a_first(tmp_path: Path) -> None:
    _write(tmp_path, "ada/FP_layers.py", "ada-2/FP_layers.py", "ada-10/FP_layers.py", "group-1/FP_layers.py")
    intake = take_in(tmp_path)
    assert _taken(intake) == {"ada": "ada-10", "group-1": "group-1"}
    assert _left(intake) == dict.fromkeys(("ada", "ada-2"), "an older attempt; ada-10 was taken")


GRADESCOPE = """
---
submission_11:
  :submitters:
  - :name: Ada Lovelace
    :sid: '0042'
    :email: ada@school.edu
  - :name: Charles Babbage
    :email: charles@school.edu
  :created_at: 2026-11-20 10:00:00.123456000 Z
  :score: 3.0
  :results: !ruby/hash:ActiveSupport::HashWithIndifferentAccess
    tests: []
submission_12:
  :submitters:
  - :name: Ada Lovelace
    :sid: '0042'
    :email: ada@school.edu
  :created_at: 2026-11-21 10:00:00 +0100
submission_13:
  :submitters: []
submission_14:
  :submitters:
  - :name: Lost
    :email: lost@school.edu
"""


def test_gradescopes_export(tmp_path: Path) -> None:
    _write(tmp_path, *(f"submission_{n}/FP_layers.py" for n in (11, 12, 13, 99)))
    (tmp_path / "submission_metadata.yml").write_text(GRADESCOPE)
    intake = take_in(tmp_path)
    assert _taken(intake) == {"ada@school.edu": "submission_12", "charles@school.edu": "submission_11"}
    ada, charles = intake.found
    assert ada.hand_in.submitted_at == datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert charles.hand_in.submitted_at == datetime(2026, 11, 20, 10, 0, 0, 123456, UTC)
    assert ada.student.ids == {"sis": "0042"} and ada.student.name == "Ada Lovelace"
    assert _left(intake) == {
        "submission_11": "an older attempt; submission_12 was taken",
        "submission_13": "submission_metadata.yml names nobody who submitted it",
        "submission_14": "in submission_metadata.yml, but not in the folder",
        "submission_99": "not in submission_metadata.yml",
    }


@pytest.mark.parametrize("text", ["- 1\n", "a: [", "!!python/object/apply:os.system ['true']", "\x00"])
def test_damaged_metadata_is_one_sentence(tmp_path: Path, text: str) -> None:
    _write(tmp_path, "submission_1/FP_layers.py")
    (tmp_path / "submission_metadata.yml").write_text(text)
    with pytest.raises(GraderError, match=r"submission_metadata\.yml .*download the export again"):
        take_in(tmp_path)


def test_canvas_names(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "lovelaceada_4711_100001_hw4.ipynb",
        "lovelaceada_4711_100002_answers.toml",
        "lovelaceada_4711_100005_hw4-2.ipynb",
        "hoppergrace_LATE_4712_100003_FP_layers.py",
        "stranger.pdf",
    )
    intake = take_in(tmp_path)
    assert _taken(intake) == {
        "hoppergrace-4712": "hoppergrace_LATE_4712_100003_FP_layers.py",
        "lovelaceada-4711": "lovelaceada_4711_100002_answers.toml",
    }
    grace, ada = intake.found
    assert grace.hand_in.marked_late and not ada.hand_in.marked_late
    assert ada.files.keys() == {"answers.toml", "hw4.ipynb"}
    assert ada.files["hw4.ipynb"].name == "lovelaceada_4711_100005_hw4-2.ipynb"
    assert ada.student.ids == {"canvas": "4711"}
    assert _left(intake).keys() == {"stranger.pdf", "lovelaceada_4711_100001_hw4.ipynb"}


def test_a_notebook_for_each_lab_is_no_series_of_attempts(tmp_path: Path) -> None:
    """Canvas writes ``-1`` after a name that was handed in before; students write it, too."""
    labs = [f"lovelaceada_4711_{n}_lab-{n}.ipynb" for n in (1, 2, 3)]
    zips = ["hoppergrace_4712_7_hw4-1.zip", "hoppergrace_4712_8_hw4-2.zip"]
    grace, ada = take_in(_write(tmp_path, *labs, *zips)).found
    assert ada.files.keys() == {"lab-1.ipynb", "lab-2.ipynb", "lab-3.ipynb"}
    assert [path.name for path in grace.files.values()] == zips[1:]


def test_of_two_files_of_one_name_the_later_upload_counts(tmp_path: Path) -> None:
    _write(tmp_path, "lovelaceada_4711_99999_hw4.ipynb", "lovelaceada_LATE_4711_100000_hw4.ipynb")
    (found,) = take_in(tmp_path).found
    assert found.files["hw4.ipynb"].name == "lovelaceada_LATE_4711_100000_hw4.ipynb" and found.hand_in.marked_late


def test_dates_in_names_make_nobody_the_same_student(tmp_path: Path) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    for name in ("ada_2026_11_28.zip", "grace_2026_11_28.zip"):
        _zip(folder / name)
    intake = take_in(folder, _roster(tmp_path, "Login\nada\ngrace\n"))
    assert _taken(intake) == {"ada": "ada_2026_11_28.zip", "grace": "grace_2026_11_28.zip"}
    assert _left(intake) == {}


def test_a_groups_name_may_have_an_underscore(tmp_path: Path) -> None:
    (found,) = take_in(_write(tmp_path, "team_1_LATE_47110_100001_FP_layers.py")).found
    assert found.student.ids == {"canvas": "47110"} and found.files.keys() == {"FP_layers.py"}
    assert found.student.name == "team_1" and found.hand_in.marked_late


def test_a_folder_of_outputs_is_nobodys(tmp_path: Path) -> None:
    intake = take_in(_write(tmp_path, "ada/FP_layers.py", *(f"results/{n}/gradebook.sqlite" for n in (1, 2))))
    assert _taken(intake) == {"ada": "ada"}
    assert _left(intake) == {"results": "what a batch wrote"}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", bytes(70 << 20)], ids=["empty", "damaged", "large"])
def test_a_zip_that_cannot_be_unpacked_costs_nothing_beside_good_files(tmp_path: Path, content: bytes) -> None:
    """As it does in a folder."""
    _write(tmp_path, "lovelaceada_4711_1_FP_layers.py")
    (tmp_path / "lovelaceada_4711_2_models.zip").write_bytes(content)
    (found,) = take_in(tmp_path).found
    submission = Job(found.digest, found.files).load()
    assert set(submission.files) == {"FP_layers.py"}
    assert submission.notes[0].startswith("models.zip is ")


def test_moodle_names(tmp_path: Path) -> None:
    _write(tmp_path, "Ada Lovelace_77_assignsubmission_file/FP_layers.py", "Alan T_78_assignsubmission_file_hw4.ipynb")
    intake = take_in(tmp_path)
    assert {found.student.ids["moodle"] for found in intake.found} == {"77", "78"}
    assert intake.found[1].files.keys() == {"hw4.ipynb"}


ROSTER = "First Name,Last Name,SID,Email,Role\nAda,Lovelace,0042,ada@school.edu,Student\n" + (
    "Grace,Hopper,0043,grace@school.edu,\nTea,Cher,1,tea@school.edu,Instructor\nJosé,Núñez,0044,jose@school.edu,student\n"
)


def _roster(tmp_path: Path, text: str = ROSTER) -> Roster:
    (tmp_path / "roster.csv").write_text(text, encoding="utf-8-sig")
    return read_roster(tmp_path / "roster.csv")


def test_a_roster_claims_what_it_can_and_drops_nothing(tmp_path: Path) -> None:
    folder = _write(tmp_path / "class", "lovelaceada/FP_layers.py", "0043/FP_layers.py", "eve/FP_layers.py")
    intake = take_in(folder, _roster(tmp_path))
    assert _taken(intake) == {"ada@school.edu": "lovelaceada", "eve": "eve", "grace@school.edu": "0043"}
    assert [student.key for student in intake.missing] == ["jose@school.edu"]
    assert _left(intake) == {"eve": "not on the roster; graded as eve"}


@pytest.mark.parametrize("name", ["jose", "José Núñez", "nunezjose", "JOSE@school.edu", "0044"])
def test_a_student_is_found_by_any_of_their_names(tmp_path: Path, name: str) -> None:
    known = _roster(tmp_path).find(Student(name, name))
    assert known is not None and known.key == "jose@school.edu"


def test_two_who_could_be_meant_are_nobody(tmp_path: Path) -> None:
    roster = _roster(tmp_path, "Name,Email\nAda Lovelace,a1@x.edu\nAda Lovelace,a2@x.edu\n")
    assert roster.find(Student("adalovelace", "adalovelace")) is None


def test_whoever_shares_an_address_or_has_none_is_on_the_roster(tmp_path: Path) -> None:
    rows = ["Ada,n/a,7", "Bob,n/a,8", "Cyn,-,9", "Deb,pair@x.edu,10", "Eve,pair@x.edu,11", "Eve,pair@x.edu,11"]
    roster = _roster(tmp_path, "\n".join(["Name,Email,SID", *rows]) + "\n")
    assert sorted(student.name for student in roster.students) == ["Ada", "Bob", "Cyn", "Deb", "Eve"]


def test_a_student_of_two_sections_is_one_and_namesakes_of_two_are_two(tmp_path: Path) -> None:
    roster = _roster(tmp_path, "Name,Email,Section\nAda,a@x.edu,lecture\nAda,a@x.edu,lab\nWei,,A\nWei,,B\n")
    assert sorted(student.name for student in roster.students) == ["Ada", "Wei", "Wei"]


def test_canvas_gradebook_is_a_roster(tmp_path: Path) -> None:
    text = "Student,ID,SIS User ID,SIS Login ID,Section,HW (1)\n    Points Possible,,,,,100\n"
    text += '"Lovelace, Ada",4711,s1,ada,A,\n'
    roster = _roster(tmp_path, text)
    known = roster.find(Student("whoever", ids={"canvas": "4711"}))
    assert known is not None and known.key == "ada" and known.ids["section"] == "A"
    assert len(roster.students) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "has no column"),
        ("Name\n", "names no student"),
        ("", "is not a CSV with a row of titles"),
        ('Name\n"x', "not a CSV"),
        ("Name\nWei Zhang\nWei Zhang\n", "names Wei Zhang twice, and nothing tells them apart"),
    ],
)
def test_a_bad_roster_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(GraderError, match=said):
        _roster(tmp_path, text)


def test_keys_are_safe_and_differ_even_where_case_does_not_count() -> None:
    people = [Student(name) for name in ("Ada", "ada", "李明", "王芳", "../../etc/passwd", "a b", "x" * 300, "Müller")]
    keys = [student.key for student in with_unique_keys(people).values()]
    assert len({key.casefold() for key in keys}) == len(people)
    assert all(re.fullmatch(r"[A-Za-z0-9._@-]+", key) for key in keys)
    assert all(len(key) < 80 and not key.startswith(".") for key in keys)
    assert with_unique_keys([Student("Ada")])[identity(Student("Ada"))].key == "Ada"


@pytest.mark.parametrize("name", ["missing", "file.txt"])
def test_no_folder_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(GraderError, match=r"cannot be read|is no folder"):
        take_in(tmp_path / name)


def test_one_submission_is_no_class(tmp_path: Path) -> None:
    with pytest.raises(GraderError, match="holds no submission"):
        take_in(_write(tmp_path, "FP_layers.py", "lab2_pruning.py"))


def test_the_digest_tells_changed_checkpoints_and_reads_none_that_is_too_large(tmp_path: Path) -> None:
    folder = _write(tmp_path, "ada/FP_layers.py", "ada/nets/net_after_finetune.pt")
    net, large = folder / "ada" / "nets" / "net_after_finetune.pt", folder / "ada" / "large.safetensors"
    with large.open("wb") as file:
        file.truncate(5 << 30)  # a file with a hole, which takes no room

    def digest() -> str:
        (found,) = take_in(folder).found
        return found.digest

    before = digest()
    with large.open("r+b") as file:
        file.write(b"other")
    assert digest() == before
    net.write_text("another network")
    assert digest() != before


def test_a_loose_checkpoint_that_is_too_large_is_not_read_for_its_digest(tmp_path: Path) -> None:
    folder = _write(tmp_path, "lovelaceada_17_4711_FP_layers.py")
    large = folder / "lovelaceada_17_4712_net_after_finetune.pt"
    digests = set()
    for size in (5 << 30, 6 << 30):
        with large.open("wb") as file:
            file.truncate(size)  # a hole takes no room
        digests.add(take_in(folder).found[0].digest)
    assert len(digests) == 1
    large.write_text("a network")
    assert take_in(folder).found[0].digest not in digests


def test_the_digest_tells_changes_that_can_matter(tmp_path: Path) -> None:
    folder = _write(tmp_path, "ada/FP_layers.py", "bob/FP_layers.py", "eve/FP_layers.py", "eve/data/cat.png")
    ada, bob, eve = (found.digest for found in take_in(folder).found)
    assert ada == bob != eve
    (folder / "eve/data/cat.png").write_text("another picture")
    assert take_in(folder).found[2].digest == eve
    (folder / "bob/FP_layers.py").write_text("x = 2\n")
    assert take_in(folder).found[1].digest != bob


def test_a_students_own_file_name_does_not_say_whose_it_is(tmp_path: Path) -> None:
    names = (
        "Eve Evil_666_assignsubmission_file_x_123_assignsubmission_file_fp.py",
        "Ada_123_assignsubmission_file_fp.py",
    )
    intake = take_in(_write(tmp_path, *names))
    assert {found.student.ids["moodle"]: found.hand_in.path for found in intake.found} == {
        "666": names[0],
        "123": names[1],
    }


def test_an_id_decides_between_two_of_the_same_name(tmp_path: Path) -> None:
    roster = _roster(tmp_path, 'Student,ID\n"Smith, John",111\n')
    folder = _write(tmp_path / "class", "smithjohn_111_5_hw4.ipynb", "smithjohn_999_6_hw4.ipynb")
    intake = take_in(folder, roster)
    assert _taken(intake) == {"111": "smithjohn_111_5_hw4.ipynb", "smithjohn-999": "smithjohn_999_6_hw4.ipynb"} or (
        set(_taken(intake).values()) == {"smithjohn_111_5_hw4.ipynb", "smithjohn_999_6_hw4.ipynb"}
    )
    assert any("not on the roster" in reason for reason in _left(intake).values())
    other = _roster(tmp_path, "Name,Email,SID\nWei Wang,wei1@x.edu,1\n")
    assert other.find(Student("wei2@x.edu", "Wei Wang", "wei2@x.edu", {"sis": "2"})) is None
    assert other.find(Student("wei2@x.edu", "Wei Wang", "wei2@x.edu")) is None


def test_the_roster_decides_what_is_an_attempt(tmp_path: Path) -> None:
    folder = _write(tmp_path / "class", "lee/FP_layers.py", "lee-2/FP_layers.py", "lee-3/FP_layers.py")
    intake = take_in(folder, _roster(tmp_path, "Login\nlee\nlee-2\n"))
    assert _taken(intake) == {"lee": "lee-3", "lee-2": "lee-2"}


def test_names_that_are_no_utf8_are_kept_apart(tmp_path: Path) -> None:
    for name in (b"\xff", b"\xfe", b"\xff.pdf"):
        path = os.path.join(os.fsencode(tmp_path), name)
        if name.endswith(b".pdf"):
            open(path, "wb").close()
        else:
            os.mkdir(path)
            (Path(os.fsdecode(path)) / "FP_layers.py").write_text("x = 1\n")
    intake = take_in(tmp_path)
    assert len(intake.found) == 2 and len(intake.unclaimed) == 1
    for text in [*_taken(intake).values(), *_left(intake), *(found.student.name for found in intake.found)]:
        text.encode()


def test_an_export_in_a_folder_of_its_own_is_found(tmp_path: Path) -> None:
    export = _write(tmp_path / "assignment_export", "submission_12/FP_layers.py")
    (export / "submission_metadata.yml").write_text(GRADESCOPE)
    assert _taken(take_in(tmp_path)) == {"ada@school.edu": "submission_12"}


@pytest.mark.parametrize("submitters", ["5", "[5]", "null", "{}"])
def test_odd_submitters_are_nobody(tmp_path: Path, submitters: str) -> None:
    _write(tmp_path, "submission_1/FP_layers.py", "submission_2/FP_layers.py", "submission_3/FP_layers.py")
    lines = [f"submission_1:\n  :submitters: {submitters}"]
    lines += [f"submission_{n}:\n  :submitters: [{{}}]\n  :created_at: 9999-12-31T23:59:59-12:00" for n in (2, 3)]
    (tmp_path / "submission_metadata.yml").write_text("\n".join(lines))
    intake = take_in(tmp_path)
    assert _taken(intake) == {"submission_2": "submission_2", "submission_3": "submission_3"}
    assert all(found.hand_in.submitted_at is None for found in intake.found)


def test_online_text_of_moodle_lies_beside_the_files(tmp_path: Path) -> None:
    _write(tmp_path, "Ada_7_assignsubmission_file/FP_layers.py", "Ada_7_assignsubmission_onlinetext/onlinetext.html")
    (found,) = take_in(tmp_path).found
    assert found.student.ids == {"moodle": "7"}
    assert "FP_layers.py" in Job(found.digest, found.files).load().files


def test_whoever_handed_in_only_what_is_not_graded_did_hand_in(tmp_path: Path) -> None:
    _write(
        tmp_path, "poecyn_7_70_report.pdf", "poecyn_7_71_more.docx", "roedeb_8_80_report.pdf", "roedeb_8_81_hw4.ipynb"
    )
    intake = take_in(tmp_path)
    assert {found.student.name: sorted(found.files) for found in intake.found} == {
        "poecyn": ["more.docx", "report.pdf"],
        "roedeb": ["hw4.ipynb"],
    }
    assert _left(intake) == {"roedeb_8_80_report.pdf": "no kind of file that is graded"}
    with pytest.raises(UnusableSubmission, match=r"nothing that can be graded, only more.docx and report.pdf"):
        Job(intake.found[0].digest, intake.found[0].files).load()


@pytest.mark.parametrize("what", ["changed", "moved away"])
def test_what_is_no_longer_what_was_taken_in_is_not_graded(tmp_path: Path, what: str) -> None:
    """A result belongs to the digest: of other files it would stay for ever."""
    _write(tmp_path, "ada/FP_layers.py")
    (ada,) = take_in(tmp_path).found
    job = Job(ada.digest, ada.files)
    file = tmp_path / "ada" / "FP_layers.py"
    if what == "changed":
        file.write_text("x = 2\n")
    else:
        file.parent.rename(tmp_path / "away")
    with pytest.raises(InternalError, match="changed or moved away"):
        job.load()
    result = grade_submission(None, job.digest, job.load)  # type: ignore[arg-type]
    assert result.status is Status.FAULT


def test_the_words_on_an_unusable_submission_name_nobody(tmp_path: Path) -> None:
    _write(tmp_path, "ada/notes.txt", "bob/notes.txt")
    ada, bob = take_in(tmp_path).found
    assert ada.digest == bob.digest
    with pytest.raises(UnusableSubmission, match=r"^The submission holds nothing that can be graded") as caught:
        Job(ada.digest, ada.files).load()
    assert "ada" not in str(caught.value)


def test_the_words_on_an_unusable_submission_are_those_of_the_student(tmp_path: Path) -> None:
    """A name that is also a word of the sentence is replaced once, and a file keeps its small letter."""
    (tmp_path / "empty").mkdir()
    notebook = tmp_path / "hoaretony_7_8_hw4.ipynb"
    notebook.write_text("{")
    with pytest.raises(UnusableSubmission, match=r"^The submission is empty: hand in "):
        _job({"empty": tmp_path / "empty"}).load()
    with pytest.raises(UnusableSubmission, match=r"^hw4\.ipynb is not a notebook"):
        _job({"hw4.ipynb": notebook}).load()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_what_cannot_be_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, "ada/FP_layers.py", "closed/FP_layers.py")
    listdir = os.listdir

    def refuse(path: Path) -> list[str]:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    assert _left(take_in(tmp_path)) == {"closed": "it cannot be read: give yourself permission to read it"}


def test_a_roster_with_semicolons_and_empty_lines_is_read(tmp_path: Path) -> None:
    """As Excel saves it in much of Europe."""
    roster = _roster(tmp_path, "Name;Email\n\nAda, Countess;ada@x.edu\n;\n")
    assert [(student.name, student.email) for student in roster.students] == [("Ada, Countess", "ada@x.edu")]
