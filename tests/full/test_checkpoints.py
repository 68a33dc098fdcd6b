"""Which file of a submission is which network, and which is not read at all."""

from __future__ import annotations

import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from grader import locations
from grader.checkpoints import EITHER, collect, parts_named
from grader.entries import Entry
from grader.errors import TooLarge, UnusableSubmission
from grader.submission import load_submission

WHOLE = b"PK" + b"\0" * 30 + b"PK\5\6" + b"\0" * 18


def entry(path: str, content: bytes = WHOLE) -> Entry:
    return Entry(path, lambda _: content)


@pytest.mark.parametrize(
    ("path", "part", "bits"),
    [
        ("net_after_finetune.pt", "2c", None),
        ("net_after_iterative_prune.pt", "2d", None),
        ("net_after_global_iterative_prune.pt", "2e", None),
        ("hw4/checkpoints/Net-after-finetune (1).pth", "2c", None),
        ("student_a_net_after_finetune.safetensors", "2c", None),
        ("lab2e.pt", "2e", None),
        ("quantized_net_after_finetune.pt", EITHER, None),
        ("quantized_net_after_finetune_4bit.pt", "3c", 4),
        ("quantized_net_after_finetune_3bits.safetensors", "3c", 3),
        ("quantized_net_after_finetune_2.pt", "3c", 2),
        ("quantized_net_after_finetune_Nbits=2.pt", "3c", 2),
        ("quantized_sparse_net_after_finetune_4bit.pt", "3d", 4),
        ("pruned_quantized_2bit.pt", "3d", 2),
        ("3d/quantized_net_after_finetune_3bit.pt", "3d", 3),
        ("3c_qat.pt", "3c", None),
        ("qat_4.pt", "3c", 4),
        ("quantized_net_after_finetune_3b.pt", "3c", 3),
        ("asymmetric_quantized_net_4bit.pt", "3c", 4),
        ("Lab 3(c)/quantized_net_after_finetune.pt", "3c", None),
        ("Lab 3(d)/quantized_net_after_finetune_2bit.pt", "3d", 2),
        ("quantized_net_after_finetune-1.pt", EITHER, None),
        ("quantized_net_after_finetune_4bit-1 (2).pt", "3c", 4),
        ("quantized_net_after_finetune_20.pt", EITHER, None),
        ("quantized_net_after_finetune_70.pt", EITHER, None),
        ("quantized_net_after_finetune_0.7.pt", EITHER, None),
        ("quantized_net_after_finetune_epoch_20.pt", EITHER, None),
        ("quantized_net_after_finetune_epoch_4.pt", EITHER, None),
        ("quantized_net_after_finetune_seed_0.pt", EITHER, None),
        ("quantized_net_after_finetune_4bits_20epochs.pt", "3c", 4),
        ("quantized_unpruned_net_after_finetune_4bit.pt", "3c", 4),
        ("non-sparse quantized net 2bit.pt", "3c", 2),
        ("unquantized_net_after_finetune.pt", "2c", None),
        ("bruno_pruned_quantized_net_4bit.pt", "3d", 4),
        ("net_after_finetune_4bit.pt", EITHER, 4),
        ("finetuned_2_bits.pt", EITHER, 2),
        ("net4bit_finetune.pt", EITHER, 4),
        ("hw4_bittner_net_after_finetune.pt", "2c", None),
        ("orbit_3_net_after_finetune.pt", "2c", None),
        ("bittner_net_after_global_iterative_prune.pt", "2e", None),
        ("net_after_global_iterative_prune_3bit.pt", "3d", 3),
        ("net_after_finetune_32bit.pt", "2c", None),
        ("net_after_finetune_2.pt", "2c", None),
        ("pruned_nets/quantized_net_after_finetune_4bit.pt", "3c", 4),
    ],
)
def test_the_name_says_which_network_it_is(path: str, part: str, bits: int | None) -> None:
    (found,), notes = collect([entry(path)])
    assert (found.path, found.part, found.bits, found.content, found.problem) == (path, part, bits, WHOLE, "")
    assert notes == []


@pytest.mark.parametrize(
    "path",
    [
        "net_before_finetune.pt",
        "not_finetuned_2c.pt",
        "quantized_net_before_finetune_4bit.pt",
        "symmetric_quantized_net_4bit.pt",
        "ptq_quantized_2bit.pt",
        "3b_quantized_net_4bit.pt",
        "Lab 3(b)/quantized_net_4bit.pt",
    ],
)
def test_a_network_that_was_not_fine_tuned_is_not_taken(path: str) -> None:
    found, (note,) = collect([entry(path)])
    assert found == () and note.startswith("Not taken, since by its name it is a network before its fine-tuning")


def test_a_name_that_tells_of_fine_tuning_has_the_place_before_one_that_does_not() -> None:
    found, notes = collect(
        [entry("quantized_net_4bit.pt"), entry("hw4/quantized_net_after_finetune_4bit.pt"), entry("quantized_2bit.pt")]
    )
    told = [(item.path, item.is_tuned) for item in found]
    assert told == [("hw4/quantized_net_after_finetune_4bit.pt", True), ("quantized_2bit.pt", False)]
    assert notes == ["Not taken, since another checkpoint has its place: quantized_net_4bit.pt."]


@pytest.mark.parametrize("broken", [b"", b"hello\n", WHOLE[:20], b"\xff\0\0\0\0\0\0\0{}", b"x" * (17 << 20)], ids=len)
def test_an_upload_that_failed_takes_no_place_from_one_that_did_not(broken: bytes) -> None:
    def read(content: bytes) -> Callable[[int], bytes]:
        def reading(limit: int) -> bytes:
            if len(content) > limit:
                raise TooLarge
            return content

        return reading

    first, second = "net_after_finetune.pt", "net_after_finetune (1).pt"
    (found,), (note,) = collect([Entry(first, read(broken)), Entry(second, read(WHOLE))])
    assert (found.path, found.content) == (second, WHOLE)
    assert note == f"Not taken, since it is empty, cut off, too large, unreadable or no checkpoint: {first}."
    (found,), (note,) = collect([Entry(first, read(WHOLE)), Entry(second, read(broken))])
    assert found.path == first
    assert note == f"Not taken, since it is empty, cut off, too large, unreadable or no checkpoint: {second}."
    (found,), _ = collect([Entry(first, read(WHOLE)), Entry(second, read(WHOLE + WHOLE))])
    assert found.content == WHOLE  # of two whole ones, the first


def test_not_every_copy_is_read() -> None:
    """Somebody may hand in thousands, of 16 MiB each."""
    read: list[int] = []

    def reading(limit: int) -> bytes:
        read.append(limit)
        return b""

    collect([Entry(f"{number}/net_after_finetune.pt", reading) for number in range(1000)])
    assert len(read) <= 2 * 8 + 1


def test_a_name_that_no_text_can_hold_is_shown_with_question_marks() -> None:
    (found,), _ = collect([entry("\udcff\u202enet_after_finetune.pt")])
    assert found.path == "??net_after_finetune.pt" and found.part == "2c"


def test_many_numbers_of_bits_take_no_place_from_lab_2() -> None:
    many = [entry(f"quantized_net_after_finetune_{bits}bit.pt") for bits in range(1, 20)]
    found, notes = collect([*many, entry("net_after_iterative_prune.pt"), entry("quantized_net_after_finetune.pt")])
    assert {"2d", EITHER} < {item.part for item in found} and len(found) == 18
    (told,) = notes
    assert told.startswith("Not taken, since more than 16 checkpoints have a number of bits in their names: ")


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("hw4/net_after_finetune.pt", ("2c",)),
        ("quantized_net_after_finetune.pt", ("3c", "3d")),
        ("Lab 3(d)/qat.pt", ("3d",)),
        ("best.pt", ()),
        ("net_2bit.pt", ()),
        ("net_after_finetune.py", ()),
    ],
)
def test_the_parts_that_a_checkpoint_may_belong_to(path: str, parts: tuple[str, ...]) -> None:
    assert parts_named(path) == parts


def test_other_files_are_no_checkpoints() -> None:
    assert collect([entry("lab2_pruning.py"), entry("notes.txt"), entry("data.bin"), entry("model.npz")]) == ((), [])


def test_a_name_that_says_nothing_is_told_and_so_are_copies_and_other_formats() -> None:
    found, notes = collect(
        [entry("a/net_after_finetune.pt"), entry("net_after_finetune.pth"), entry("best.pt"), entry("net_2d.pkl")]
    )
    assert [item.path for item in found] == ["net_after_finetune.pth"]
    assert any("does not say which network" in note and "best.pt" in note for note in notes)
    assert any("another checkpoint has its place" in note and "a/net_after_finetune.pt" in note for note in notes)
    assert any("ends in .pt, .pth and .safetensors" in note and "net_2d.pkl" in note for note in notes)


def test_five_gigabytes_are_never_read(tmp_path: Path) -> None:
    large = tmp_path / "net_after_finetune.pt"
    large.touch()
    os.truncate(large, 5 * 10**9)  # takes no room on the disk
    tracemalloc.start()
    submission = load_submission(tmp_path, locations.pristine(), full=True)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (found,) = submission.checkpoints
    assert (found.content, found.part) == (b"", "2c")
    assert "is larger than 16 MiB" in found.problem and "save net.state_dict() alone" in found.problem
    assert most < 8 * 2**20


def test_checkpoints_in_a_zip_are_taken(tmp_path: Path) -> None:
    archive = tmp_path / "hand-in.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("hw4/net_after_finetune.pt", b"one")
        zipped.writestr("hw4/answers.toml", "")
    submission = load_submission(archive, locations.pristine(), full=True)
    assert [(item.path, item.content) for item in submission.checkpoints] == [("hw4/net_after_finetune.pt", b"one")]
    assert load_submission(archive, locations.pristine()).checkpoints == ()


def test_checkpoints_alone_are_a_submission_in_the_full_profile_only(tmp_path: Path) -> None:
    (tmp_path / "net_after_finetune.pt").write_bytes(b"x")
    assert load_submission(tmp_path, locations.pristine(), full=True).files == {}
    with pytest.raises(UnusableSubmission, match="holds nothing that can be graded"):
        load_submission(tmp_path, locations.pristine())
