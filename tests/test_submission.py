"""What is taken of a submission, from where, and what is refused with which words."""

from __future__ import annotations

import io
import json
import os
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from grader.errors import InternalError, UnusableSubmission
from grader.submission import EDITABLE, PROVIDED, Submission, load_submission, stage

STUB = b"def {}(w):\n    raise NotImplementedError\n"
TEMPLATE: dict[str, bytes] = {
    "answers.toml": b"[p1]\n",
    "lab1_sparse_optimization.py": STUB.replace(b"{}", b"loss"),
    "lab2_pruning.py": STUB.replace(b"{}", b"evaluate"),
    "FP_layers.py": STUB.replace(b"{}", b"STE"),
    "lab3_quantization.py": STUB.replace(b"{}", b"accuracy_by_bits"),
    "resnet20.py": b"class ResNetCIFAR: pass\n",
    "train_util.py": b"def train(): pass\n",
}
DONE = {name: TEMPLATE[name].replace(b"raise NotImplementedError", b"return 1") + b"# done\n" for name in EDITABLE}
LAB1, LAB2 = "lab1_sparse_optimization.py", "lab2_pruning.py"


@pytest.fixture
def pristine(tmp_path: Path) -> Path:
    return write(tmp_path / "pristine", TEMPLATE)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write(tmp_path / "alice", {})


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def pack(path: Path, files: Mapping[Any, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def book(*cells: str) -> bytes:
    return json.dumps({"cells": [{"cell_type": "code", "source": c} for c in cells], "nbformat": 4}).encode()


def refusal(path: Path, pristine: Path) -> str:
    """The one sentence that refuses a path."""
    with pytest.raises(UnusableSubmission) as caught:
        load_submission(path, pristine)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 700
    return text


# --- directories --------------------------------------------------------------------------------------------


def test_a_complete_directory_is_taken_as_it_is(home: Path, pristine: Path) -> None:
    write(
        home,
        {**DONE, "resnet20.py": TEMPLATE["resnet20.py"], "report.pdf": b"%PDF", "hw4.ipynb": book("f(x)")},
    )
    assert load_submission(home, pristine) == Submission("alice", DONE, ())
    assert tuple(load_submission(home, pristine).files) == EDITABLE


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfx = 1\r\n",
        "# -*- coding: latin-1 -*-\nx = 'é'".encode("latin-1"),
        b"\xff\xfe\x00",
        b"def f(:",
        b"",
    ],
)
def test_bytes_are_kept_whatever_they_are(home: Path, pristine: Path, content: bytes) -> None:
    write(home, {**DONE, LAB1: content})
    assert load_submission(home, pristine).files[LAB1] == content


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_answers_in_another_encoding_are_read(home: Path, pristine: Path, encoding: str) -> None:
    text = '["p1.1"]\nverdict = "true"\nexplanation = "Der Schritt geht über null: “é”."\n'
    write(home, {**DONE, "answers.toml": text.replace("\n", "\r\n").encode(encoding)})
    found = load_submission(home, pristine)
    assert found.files == {**DONE, "answers.toml": text.encode()}
    assert found.notes == ("answers.toml is not in UTF-8: it was read as Windows writes it.",)


def test_answers_in_utf_8_are_kept_as_they_are(home: Path, pristine: Path) -> None:
    answers = "\ufeff# coding: latin-1\r\nx = 'é\0'".encode()
    write(home, {**DONE, "answers.toml": answers})
    assert load_submission(home, pristine) == Submission("alice", {**DONE, "answers.toml": answers}, ())


def test_student_code_is_never_executed(home: Path, pristine: Path) -> None:
    trap = home / "trap"
    code = f"open({str(trap)!r}, 'w').close()\n"
    write(
        home,
        {
            LAB1: code.encode(),
            "conftest.py": code.encode(),
            "__init__.py": code.encode(),
            "a.ipynb": book(code),
        },
    )
    load_submission(home, pristine)
    assert not trap.exists()


def test_missing_files_are_simply_not_there(home: Path, pristine: Path) -> None:
    write(home, {LAB1: DONE[LAB1]})
    found = load_submission(home, pristine)
    assert found.files == {LAB1: DONE[LAB1]}
    assert found.notes == ()


def test_files_below_folders_are_found_and_the_shallowest_copy_wins(home: Path, pristine: Path) -> None:
    write(
        home,
        {
            f"hw4/{LAB1}": b"new = 1",
            f"hw4/a/{LAB1}": b"old = 1",
            f"b/old/{LAB2}": b"x = 1",
            f"c/{LAB2}": b"x = 2",
        },
    )
    found = load_submission(home, pristine)
    assert found.files == {LAB1: b"new = 1", LAB2: b"x = 2"}
    assert found.notes == (f"Other copies were not taken: b/old/{LAB2} and hw4/a/{LAB1}.",)


@pytest.mark.parametrize(
    "folder",
    ["__MACOSX", ".ipynb_checkpoints", "__pycache__", ".venv", ".git", "venv", "hw4/.idea", "a/node_modules"],
)
def test_folders_that_are_no_work_of_the_student_are_ignored(home: Path, pristine: Path, folder: str) -> None:
    write(home, {f"{folder}/{LAB1}": b"x = 1", f"{folder}/utils.py": b"", f"{folder}/x.ipynb": b"broken"})
    assert "is empty" in refusal(home, pristine)
    write(home, {f"hw4/deep/down/{LAB1}": b"x = 2", f"._{LAB1}": b"\0\5", f"hw4/._{LAB2}": b"\0\5"})
    assert load_submission(home, pristine) == Submission("alice", {LAB1: b"x = 2"}, ())


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("LAB2_Pruning.py", LAB2),
        ("fp_layers.py", "FP_layers.py"),
        ("lab2_pruning (1).py", LAB2),
        ("lab2_pruning(12).py", LAB2),
        ("lab2_pruning-1.py", LAB2),
        ("lab2_pruning - Copy.py", LAB2),
        ("lab2_pruning copy.PY", LAB2),
        ("lab2-pruning.py", LAB2),
        ("Lab3 Quantization.py", "lab3_quantization.py"),
        ("Answers.TOML", "answers.toml"),
    ],
)
def test_names_that_are_nearly_right_are_accepted_with_a_note(
    home: Path, pristine: Path, name: str, target: str
) -> None:
    write(home, {f"hw4/{name}": DONE[target]})
    found = load_submission(home, pristine)
    assert found.files == {target: DONE[target]}
    assert found.notes == (f"Taken under the name that is graded: hw4/{name} as {target}.",)


@pytest.mark.parametrize("name", [f"hw4/{LAB1}.txt", "Answers.TOML.txt", "hw4.ipynb.json", "hw4.ipynb.txt"])
def test_a_file_with_a_second_extension_is_pointed_out(home: Path, pristine: Path, name: str) -> None:
    """Windows shows such a file under its right name."""
    write(home, {LAB2: DONE[LAB2], name: b"x = 1", f"{LAB2}.txt": b"x = 1", f"my_{LAB1}.txt": b"", "data.json": b"{}"})
    found = load_submission(home, pristine)
    assert found.files == {LAB2: DONE[LAB2]}
    assert found.notes == (f"Not read, rename it without the second extension that Windows hides: {name}.",)


def test_an_exact_name_beats_a_shallower_one_that_is_nearly_right(home: Path, pristine: Path) -> None:
    write(home, {"lab2_pruning (1).py": b"x = 1", f"deep/{LAB2}": b"x = 2"})
    found = load_submission(home, pristine)
    assert found.files == {LAB2: b"x = 2"}
    assert found.notes == ("Other copies were not taken: lab2_pruning (1).py.",)


@pytest.mark.parametrize(
    "name", ["lab2.py", "my_lab2_pruning.py", "lab2_pruning.py.txt", "lab2_pruning.pyc", "lab2_pruning"]
)
def test_other_names_are_not_guessed(home: Path, pristine: Path, name: str) -> None:
    write(home, {name: b"x = 1"})
    assert f"only {name}:" in refusal(home, pristine)


def test_other_python_files_are_not_taken_and_the_note_never_floods(home: Path, pristine: Path) -> None:
    write(home, {**DONE, **{f"utils{i:03}.py": b"" for i in range(200)}})
    (note,) = load_submission(home, pristine).notes
    assert note.startswith("Not taken, since only answers.toml, lab1_sparse_optimization.py, ")
    assert note.endswith("are graded: utils000.py, utils001.py, utils002.py, utils003.py, utils004.py and 195 more.")


def test_a_changed_provided_file_is_replaced_with_a_note(home: Path, pristine: Path) -> None:
    write(
        home,
        {
            **DONE,
            "resnet20.py": b"class Mine: pass",
            "train_util.py": TEMPLATE["train_util.py"].replace(b"\n", b"\r\n"),
        },
    )
    found = load_submission(home, pristine)
    assert found.notes == ("Replaced by the provided version: resnet20.py.",)
    assert found.files == DONE


def test_a_provided_file_under_a_nearly_right_name_needs_no_note(home: Path, pristine: Path) -> None:
    write(home, {**DONE, "resnet20 (1).py": TEMPLATE["resnet20.py"]})
    assert load_submission(home, pristine) == Submission("alice", DONE, ())


def test_a_provided_file_that_is_too_large_is_only_replaced(home: Path, pristine: Path) -> None:
    write(home, {**DONE, "resnet20.py": b"#" * (2 * 2**20 + 1)})
    assert load_submission(home, pristine).notes == ("Replaced by the provided version: resnet20.py.",)


def test_links_inside_of_a_submission_are_read_and_others_refused(home: Path, pristine: Path, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret", {LAB2: b"x = 1", "deep/FP_layers.py": b"x = 1"})
    write(home, {"real/work.txt": DONE[LAB1]})
    (home / LAB1).symlink_to("real/work.txt")
    (home / LAB2).symlink_to(secret / LAB2)
    (home / "folder").symlink_to(secret, target_is_directory=True)
    (home / "loop").symlink_to(".", target_is_directory=True)
    (home / "lab3_quantization.py").symlink_to("nowhere")
    found = load_submission(home, pristine)
    assert found.files == {LAB1: DONE[LAB1]}
    assert found.notes == ("Links that lead out of the submission were not followed: folder and lab2_pruning.py.",)


def test_a_linked_submission_is_read(home: Path, pristine: Path, tmp_path: Path) -> None:
    write(home, DONE)
    (tmp_path / "link").symlink_to(home, target_is_directory=True)
    assert load_submission(tmp_path / "link", pristine) == Submission("alice", DONE, ())


def test_named_pipes_do_not_make_the_grader_wait(home: Path, pristine: Path) -> None:
    os.mkfifo(home / LAB1)
    write(home, {LAB2: DONE[LAB2]})
    assert load_submission(home, pristine).files == {LAB2: DONE[LAB2]}
    assert "cannot be graded" in refusal(home / LAB1, pristine)


def test_a_file_that_turns_into_a_pipe_is_refused(home: Path, pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(home / LAB1)
    monkeypatch.setattr(os.path, "isfile", lambda _: True)
    assert "cannot be read" in refusal(home, pristine)


def test_a_data_set_beside_the_labs_is_not_searched_to_the_end(
    home: Path, pristine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grader.entries._MAX_ENTRIES", 50)
    write(home, {**DONE, **{f"data/{i}/{j}.png": b"" for i in range(10) for j in range(10)}})
    found = load_submission(home, pristine)
    assert found.files == DONE
    assert found.notes[0].startswith("Only the first 50 files and folders were looked at")


def test_names_with_control_characters_do_not_reach_a_terminal(home: Path, pristine: Path) -> None:
    write(home, {LAB1: DONE[LAB1], "\x1b[31mred{0}.py": b"", os.fsdecode(b"\xff.py"): b""})
    (note,) = load_submission(home, pristine).notes
    assert note.endswith("?[31mred{0}.py and ?.py.")


# --- paths that cannot be used ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["absent", "absent/deeper.zip", "x" * 5_000, "nul\0byte"])
def test_a_path_that_does_not_exist(tmp_path: Path, pristine: Path, name: str) -> None:
    assert refusal(tmp_path / name, pristine).endswith("does not exist: check the path.")


def test_an_empty_directory(home: Path, pristine: Path) -> None:
    assert refusal(home, pristine).startswith(f"{home} is empty: hand in answers.toml, ")


@pytest.mark.parametrize("name", ["resnet20.py", "report.pdf", "hw4.zip", "state.pt"])
def test_a_directory_with_nothing_gradable(home: Path, pristine: Path, name: str) -> None:
    write(home, {name: b"x"})
    assert f"holds nothing that can be graded, only {name}: hand in" in refusal(home, pristine)


@pytest.mark.parametrize("name", ["utils.pyc", "hw4.tar.gz", "hw4", "resnet20.pt", "hw4.rar"])
def test_a_single_file_of_another_kind(home: Path, pristine: Path, name: str) -> None:
    write(home, {name: b"x"})
    assert f"{name} cannot be graded: hand in a directory" in refusal(home / name, pristine)


@pytest.mark.parametrize("name", ["utils.py", "resnet20.py", "README.md"])
def test_a_single_script_with_nothing_in_it(home: Path, pristine: Path, name: str) -> None:
    write(home, {name: b"x"})
    assert f"{name} holds nothing that can be graded, only {name}: hand in" in refusal(home / name, pristine)


@pytest.mark.parametrize("name", EDITABLE)
def test_a_single_editable_file(home: Path, pristine: Path, name: str) -> None:
    write(home, {name: DONE[name]})
    assert load_submission(home / name, pristine) == Submission(Path(name).stem, {name: DONE[name]}, ())


def test_a_single_file_under_a_nearly_right_name(home: Path, pristine: Path) -> None:
    write(home, {"Lab2_Pruning (3).py": DONE[LAB2]})
    assert load_submission(home / "Lab2_Pruning (3).py", pristine).files == {LAB2: DONE[LAB2]}


@pytest.mark.parametrize("where", ["file", "directory", "zip"])
def test_a_file_that_is_too_large(home: Path, pristine: Path, where: str) -> None:
    large = b"#" * (2 * 2**20 + 1)
    write(home, {LAB1: large})
    path = {"file": home / LAB1, "directory": home, "zip": pack(home / "hw.zip", {LAB1: large})}[where]
    assert refusal(path, pristine).endswith(f"{LAB1} is larger than 2 MiB: hand it in without data and outputs.")
    write(home, {LAB1: large[1:]})
    assert len(load_submission(home / LAB1, pristine).files[LAB1]) == 2 * 2**20


@pytest.mark.parametrize("what", [LAB1, "hw.zip", "hw.ipynb", "."])
def test_what_cannot_be_opened(home: Path, pristine: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    write(home, {LAB1: b"", "hw.zip": b"", "hw.ipynb": b""})
    real_open = os.open

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if Path(path).is_relative_to(home):
            raise PermissionError
        return real_open(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    assert "cannot be read: give yourself permission" in refusal(home / what, pristine)


def test_a_directory_that_cannot_be_listed(home: Path, pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_scandir = os.scandir
    closed = [str(home / "closed")]

    def scandir(path: str) -> Iterator[os.DirEntry[str]]:
        if path.rstrip("/") in closed:
            raise PermissionError
        return real_scandir(path)

    write(home, {LAB1: DONE[LAB1], f"closed/{LAB2}": b""})
    monkeypatch.setattr(os, "scandir", scandir)
    assert load_submission(home, pristine).notes == ("Folders that cannot be read were left out: closed.",)
    closed.append(str(home))
    assert "cannot be read: give yourself permission" in refusal(home, pristine)


def test_a_path_behind_a_closed_door(home: Path, pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, **_: object) -> os.stat_result:
        raise PermissionError

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(UnusableSubmission, match="cannot be read: give yourself permission"):
        load_submission(home, pristine)


# --- zips ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "hw4/", "a/b/c/", "hw4\\", "../../", "/etc/", "./", "C:\\hw4\\..\\"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read_whatever_its_folders(home: Path, pristine: Path, prefix: str, method: int) -> None:
    path = pack(home / "bob.ZIP", {f"{prefix}{name}": content for name, content in DONE.items()}, method)
    before = sorted(home.parent.rglob("*"))
    assert load_submission(path, pristine) == Submission("bob", DONE, ())
    assert sorted(home.parent.rglob("*")) == before, "nothing is ever extracted"


def test_what_a_mac_adds_to_a_zip_is_ignored(home: Path, pristine: Path) -> None:
    files = {
        f"hw4/{LAB1}": DONE[LAB1],
        f"__MACOSX/hw4/._{LAB1}": b"\0\5\x16\7",
        f"__MACOSX/{LAB2}": b"x",
        ".DS_Store": b"",
    }
    path = pack(home / "hw.zip", {"hw4/": b"", **files})
    assert load_submission(path, pristine) == Submission("hw", {LAB1: DONE[LAB1]}, ())


def test_copies_in_a_zip(home: Path, pristine: Path) -> None:
    path = pack(home / "hw.zip", {f"a/b/{LAB1}": b"x = 1", f"c/{LAB1}": b"x = 2", "utils.py": b""})
    found = load_submission(path, pristine)
    assert found.files == {LAB1: b"x = 2"}
    assert found.notes[0] == f"Other copies were not taken: a/b/{LAB1}."
    assert found.notes[1].endswith("are graded: utils.py.")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_with_one_name_the_last_counts(home: Path, pristine: Path) -> None:
    path = home / "hw.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(LAB1, b"x = 1")
        archive.writestr(LAB1, b"x = 2")
    assert load_submission(path, pristine).files == {LAB1: b"x = 2"}


def test_links_in_a_zip_are_not_followed(home: Path, pristine: Path) -> None:
    link = zipfile.ZipInfo(LAB1)
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    found = load_submission(pack(home / "hw.zip", {link: b"/etc/passwd", LAB2: DONE[LAB2]}), pristine)
    assert found == Submission("hw", {LAB2: DONE[LAB2]}, (f"Links in a zip are not followed: {LAB1}.",))


@pytest.mark.parametrize("files", [{}, {"__MACOSX/x.py": b""}, {"hw4/": b""}])
def test_an_empty_zip(home: Path, pristine: Path, files: dict[str, bytes]) -> None:
    assert "is empty: hand in" in refusal(pack(home / "hw.zip", files), pristine)


def test_a_zip_with_nothing_gradable(home: Path, pristine: Path) -> None:
    path = pack(home / "hw.zip", {"hw4/report.pdf": b"", "inner.zip": b""})
    assert "nothing that can be graded, only inner.zip and hw4/report.pdf" in refusal(path, pristine)


def intact_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(LAB1, bytes(range(256)) * 20)
        archive.writestr("hw4/" + LAB2, DONE[LAB2])
    return buffer.getvalue()


@pytest.mark.parametrize("raw", [b"", b"PK\x05\x06", b"not a zip", intact_zip()[:-30]])
def test_a_corrupt_zip(home: Path, pristine: Path, raw: bytes) -> None:
    write(home, {"hw.zip": raw})
    text = refusal(home / "hw.zip", pristine)
    assert "not an intact zip: pack it again" in text or "is damaged in the zip: pack it again" in text


def test_a_damaged_member_costs_its_own_file(home: Path, pristine: Path) -> None:
    write(home, {"hw.zip": intact_zip()[200:]})
    submission = load_submission(home / "hw.zip", pristine)
    assert LAB1 not in submission.files
    assert any("is damaged in the zip: pack it again" in text for text in submission.notes)


def test_no_flipped_byte_escapes_as_another_error(home: Path, pristine: Path) -> None:
    raw, path = intact_zip(), home / "hw.zip"
    refused = 0
    for i in range(len(raw)):
        path.write_bytes(raw[:i] + bytes([raw[i] ^ 0xFF]) + raw[i + 1 :])
        try:
            refused += any("damaged" in text for text in load_submission(path, pristine).notes)
        except UnusableSubmission:
            refused += 1
    assert refused > 100


def set_flags(raw: bytes, flag: int) -> bytes:
    """The zip with a general purpose flag set in every local and central header."""
    content = bytearray(raw)
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + offset] |= flag
            at = content.find(signature, at + 1)
    return bytes(content)


def test_an_encrypted_zip(home: Path, pristine: Path) -> None:
    write(home, {"hw.zip": set_flags(intact_zip(), 1)})
    assert refusal(home / "hw.zip", pristine).endswith("is encrypted: pack it again without a password.")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_a_limit_are_refused(home: Path, pristine: Path, method: int) -> None:
    path = pack(home / "hw.zip", {LAB1: b"#" * 10**6}, method)
    assert f"{LAB1} is compressed in an unusual way" in refusal(path, pristine)


def set_sizes(path: Path, size: int) -> None:
    """Claim this unpacked size in every header."""
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.find(b"PK\3\4") + 22, size)
    struct.pack_into("<I", content, content.find(b"PK\1\2") + 24, size)
    path.write_bytes(content)


def test_sizes_in_headers_are_not_believed(home: Path, pristine: Path) -> None:
    path = pack(home / "hw.zip", {LAB1: b"#" * 30 * 2**20})
    assert path.stat().st_size < 2**16
    assert "larger than 2 MiB" in refusal(path, pristine)
    set_sizes(path, 100)
    assert "is damaged in the zip" in refusal(path, pristine)
    set_sizes(path, 2**32 - 2)
    assert refusal(path, pristine).startswith(f"{path} unpacks to over 128 MiB: hand in only answers.toml")


def test_a_bomb_among_files_that_nobody_needs_is_refused(home: Path, pristine: Path) -> None:
    path = pack(home / "hw.zip", {LAB1: DONE[LAB1], "data.bin": bytes(129 * 2**20)})
    assert "unpacks to over 128 MiB" in refusal(path, pristine)


def test_too_many_members(home: Path, pristine: Path) -> None:
    path = pack(home / "hw.zip", {LAB1: DONE[LAB1], **{f"{i}.png": b"" for i in range(4_999)}}, zipfile.ZIP_STORED)
    assert load_submission(path, pristine).files == {LAB1: DONE[LAB1]}
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("one more", b"")
    assert "holds more than 5,000 files: hand in only" in refusal(path, pristine)


def test_a_zip_that_is_too_large_on_disk(home: Path, pristine: Path) -> None:
    with open(home / "hw.zip", "wb") as file:
        file.truncate(64 * 2**20 + 1)
    assert "hw.zip is larger than 64 MiB" in refusal(home / "hw.zip", pristine)


# --- notebooks ----------------------------------------------------------------------------------------------

SOLUTION = "def loss(w):\n    return 7\n\ndef evaluate(net):\n    return 8"


def test_a_single_notebook(home: Path, pristine: Path) -> None:
    write(home, {"hw4.ipynb": book("%matplotlib inline\nimport math", SOLUTION, "print(loss(1))")})
    found = load_submission(home / "hw4.ipynb", pristine)
    assert found.name == "hw4"
    assert tuple(found.files) == (LAB1, LAB2)
    assert found.files[LAB1].startswith(TEMPLATE[LAB1].rstrip())
    assert b"return 7" in found.files[LAB1]
    assert b"evaluate" not in found.files[LAB1]
    assert found.notes == (
        f"In {LAB1}, loss was taken from hw4.ipynb.",
        f"In {LAB2}, evaluate was taken from hw4.ipynb.",
    )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"not json", "is not a notebook, its content is not valid JSON"),
        (b"[" * 10**5, "is not a notebook, its content is not valid JSON"),
        (b"{}", "is not a notebook, it has no list of cells"),
        (b" " * (32 * 2**20 + 1), "is larger than 32 MiB"),
    ],
)
def test_a_broken_notebook_is_fatal_alone_and_a_note_beside_good_files(
    home: Path, pristine: Path, raw: bytes, reason: str
) -> None:
    write(home, {"hw4.ipynb": raw})
    assert f"hw4.ipynb {reason}" in refusal(home / "hw4.ipynb", pristine)
    assert f"hw4.ipynb {reason}" in refusal(home, pristine)
    assert f"hw4.ipynb {reason}" in refusal(pack(home.parent / "hw.zip", {"a/hw4.ipynb": raw, "b.pdf": b""}), pristine)
    write(home, DONE)
    found = load_submission(home, pristine)
    assert found.files == DONE
    assert [note for note in found.notes if reason in note] == list(found.notes)
    assert len(found.notes) == 1


@pytest.mark.parametrize(
    "cells", [[], ["x = 1"], ["def unrelated(): pass"], ["def loss(w):\n    raise NotImplementedError"]]
)
def test_a_notebook_with_nothing_gradable(home: Path, pristine: Path, cells: list[str]) -> None:
    write(home, {"hw4.ipynb": book(*cells)})
    assert "nothing that can be graded, only hw4.ipynb: hand in" in refusal(home / "hw4.ipynb", pristine)


def test_a_notebook_with_only_broken_cells_says_which(home: Path, pristine: Path) -> None:
    write(home, {"hw4.ipynb": book("def loss(w:\n    return 1")})
    assert "Code cell 1 of hw4.ipynb was not read: line 1 is not valid Python" in refusal(home / "hw4.ipynb", pristine)


def test_a_notebook_fills_in_what_files_lack(home: Path, pristine: Path) -> None:
    files = {LAB1: TEMPLATE[LAB1], LAB2: DONE[LAB2], "FP_layers.py": b"K = 3\n"}
    cells = [
        SOLUTION,
        "def STE(w):\n    return K",
        "%%writefile answers.toml\nmine = 1",
        "%%writefile utils.py\nx = 1",
    ]
    write(home, {**files, "hw4/x.ipynb": book(*cells)})
    found = load_submission(home, pristine)
    assert b"return 7" in found.files[LAB1]
    assert found.files[LAB2] == DONE[LAB2], "a file of the student wins"
    assert found.files["FP_layers.py"].startswith(b"K = 3\n\n# From hw4/x.ipynb:\n")
    assert found.files["answers.toml"] == b"mine = 1\n"
    assert "lab3_quantization.py" not in found.files
    assert [note.split(",")[0] for note in found.notes] == [
        "answers.toml was taken from a %%writefile cell of hw4/x.ipynb.",
        f"In {LAB1}",
        "In FP_layers.py",
        "Not taken from hw4/x.ipynb",
    ]
    assert found.notes[-1].endswith("are graded: utils.py.")


def test_a_notebook_beside_complete_files_makes_no_noise(home: Path, pristine: Path) -> None:
    cells = ["import IPython\ndef loss(w): return 0", "def loss(w): return 1", "broken =", SOLUTION]
    write(home, {**DONE, "play.ipynb": book(*cells)})
    assert load_submission(home, pristine) == Submission("alice", DONE, ())


def test_a_notebook_beside_a_stub_says_what_it_could_not_read(home: Path, pristine: Path) -> None:
    write(home, {**DONE, LAB1: TEMPLATE[LAB1] + b"# mine", "hw4.ipynb": book("def loss(w:")})
    (note,) = load_submission(home, pristine).notes
    assert note.startswith("Code cell 1 of hw4.ipynb was not read: line 1")


def test_written_files_that_nobody_grades_are_noted_only_if_they_are_code(home: Path, pristine: Path) -> None:
    cells = [f"%%writefile {name}\nx = 1" for name in ("notes.txt", "resnet20.py", "utils.py")]
    write(home, {**DONE, "hw4.ipynb": book(*cells)})
    (note,) = load_submission(home, pristine).notes
    assert note.endswith("are graded: utils.py.")


def test_the_driver_notebook_beside_the_template_makes_no_noise(home: Path, pristine: Path) -> None:
    driver = book(
        "%matplotlib inline\nfrom lab1_sparse_optimization import *\nimport torch",
        "net = loss(1)\nprint(net)",
    )
    write(home, {**TEMPLATE, "hw4.ipynb": driver})
    found = load_submission(home, pristine)
    assert found.notes == ()
    assert found.files == {name: TEMPLATE[name] for name in EDITABLE}


def test_several_notebooks_share_the_work(home: Path, pristine: Path) -> None:
    first, second = "def loss(w): return 'first'", "def loss(w): return 'second'\ndef STE(w): return 'second'"
    path = pack(home / "hw.zip", {"b.ipynb": book(second), "a.ipynb": book(first), "c.IPYNB": b"broken"})
    found = load_submission(path, pristine)
    assert b"'first'" in found.files[LAB1]
    assert b"'second'" not in found.files[LAB1]
    assert b"'second'" in found.files["FP_layers.py"]
    assert any(note.startswith("c.IPYNB is not a notebook") for note in found.notes)


def test_notebooks_without_end_are_not_read_to_the_end(home: Path, pristine: Path) -> None:
    write(home, {LAB1: DONE[LAB1], **{f"{i}.ipynb": b"broken" for i in range(10)}})
    notes = load_submission(home, pristine).notes
    assert len(notes) == 9
    assert notes[-1] == "Too many notebooks, these were not read: 8.ipynb and 9.ipynb."


# --- staging ------------------------------------------------------------------------------------------------


def test_staging_writes_the_provided_files_and_the_submission_only(home: Path, pristine: Path, tmp_path: Path) -> None:
    write(pristine, {"secret.py": b"", "hw4.ipynb": b"{}"})
    write(home, {**DONE, "resnet20.py": b"mine", "utils.py": b"", "sitecustomize.py": b""})
    into = write(tmp_path / "staged", {})
    assert stage(load_submission(home, pristine), pristine, into) == ()
    staged = {path.name: path.read_bytes() for path in into.rglob("*")}
    assert staged == {**DONE, **{name: TEMPLATE[name] for name in PROVIDED}}


def test_staging_says_what_is_missing(pristine: Path, tmp_path: Path) -> None:
    into = write(tmp_path / "staged", {})
    assert stage(Submission("a", {LAB1: b"x"}, ()), pristine, into) == (
        "Not in the submission: answers.toml, lab2_pruning.py, FP_layers.py and lab3_quantization.py.",
    )
    assert sorted(path.name for path in into.iterdir()) == sorted([LAB1, *PROVIDED])


def test_staging_writes_no_other_names_even_if_asked(pristine: Path, tmp_path: Path) -> None:
    into = write(tmp_path / "staged", {})
    stage(Submission("a", {"../escaped.py": b"x", "resnet20.py": b"mine", LAB1: b"x"}, ()), pristine, into)
    names = ("utils/../../escaped.py", "/utils/x.py", "torch/x.py", "resnet20/__init__.py", "FP_layers/__init__.py")
    stage(Submission("b", dict.fromkeys(names, b"x"), ()), pristine, write(tmp_path / "other", {}))
    assert not (tmp_path / "escaped.py").exists()
    assert sorted(path.name for path in (tmp_path / "other").rglob("*")) == sorted(PROVIDED)
    assert (into / "resnet20.py").read_bytes() == TEMPLATE["resnet20.py"]


def test_staging_into_a_directory_in_use_is_our_fault(pristine: Path, tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="is not empty"):
        stage(Submission("a", {}, ()), pristine, write(tmp_path / "staged", {"x": b""}))


def test_an_incomplete_template_is_our_fault(home: Path, pristine: Path, tmp_path: Path) -> None:
    write(home, DONE)
    (pristine / "resnet20.py").unlink()
    with pytest.raises(InternalError, match=r"lacks resnet20\.py: generate the template again"):
        load_submission(home, pristine)
    with pytest.raises(InternalError, match=r"lacks resnet20\.py"):
        stage(Submission("a", {}, ()), pristine, write(tmp_path / "staged", {}))


def test_a_submission_is_named_after_its_path(home: Path, pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, DONE)
    monkeypatch.chdir(home)
    assert load_submission(Path(), pristine).name == "alice"
    assert load_submission(home / ".." / "alice", pristine).name == "alice"


def test_a_zip_in_a_folder_is_unpacked_too(home: Path, pristine: Path) -> None:
    with zipfile.ZipFile(home / "hw4.zip", "w") as archive:
        archive.writestr("hw4/FP_layers.py", "x = 1\n")
        archive.writestr("hw4/again.zip", b"PK")
    (home / "broken.zip").write_bytes(b"no zip")
    found = load_submission(home, pristine)
    assert found.files == {"FP_layers.py": b"x = 1\n"}
    assert any("broken.zip is not an intact zip" in note for note in found.notes)
