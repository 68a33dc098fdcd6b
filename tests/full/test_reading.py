"""Checkpoints that are not as they should be: each is accepted with a note, or refused with one clear sentence."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from resnet20 import ResNetCIFAR
from safetensors.torch import save as save_safetensors

from grader.assignment import Assignment
from grader.errors import CheckFailed, CheckTimedOut
from grader.full.reading import ReadNetwork, read_network
from grader.full.standard import empty_interview
from grader.interview import BROKEN, Interview
from grader.worker.sandbox.policy import Policy
from tests.full.conftest import State, plain

FIRST = "head_conv.0.conv.weight"
Read = Callable[[Any], ReadNetwork]


def saved(value: object, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


@pytest.fixture
def read(opener: Interview, pretrained: State) -> Read:
    """Read bytes, or what torch.save makes of a value."""

    def reading(value: Any) -> ReadNetwork:
        content = value if isinstance(value, bytes) else saved(value)
        return read_network(opener, "net_after_finetune.pt", content, plain(pretrained))

    return reading


def with_prefix(state: State, prefix: str) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def in_dtype(state: State, dtype: torch.dtype) -> State:
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def masked(state: State) -> State:
    """As torch.nn.utils.prune leaves a layer."""
    rest = {name: tensor for name, tensor in state.items() if name != FIRST}
    mask = torch.ones_like(state[FIRST])
    return {**rest, f"{FIRST}_orig": state[FIRST], f"{FIRST}_mask": mask}


def expanded(state: State) -> State:
    """A tensor whose elements share one number in memory."""
    return {**state, FIRST: torch.tensor([0.25]).as_strided(state[FIRST].shape, (0, 0, 0, 0))}


def scaled(state: State) -> State:
    return {name: 2 * tensor for name, tensor in state.items()}


ACCEPTED: dict[str, tuple[Callable[[State], Any], str]] = {
    "a state dict": (lambda s: s, ""),
    "an old format": (lambda s: saved(s, _use_new_zipfile_serialization=False), ""),
    "safetensors": (lambda s: save_safetensors(s), ""),
    "without the counters": (lambda s: {n: t for n, t in s.items() if "num_batches" not in n}, ""),
    "parameters": (lambda s: {n: torch.nn.Parameter(t) if t.is_floating_point() else t for n, t in s.items()}, ""),
    "float64": (lambda s: in_dtype(s, torch.float64), "holds torch.float64, which was converted to float32"),
    "float16": (lambda s: in_dtype(s, torch.float16), "holds torch.float16, which was converted"),
    "bfloat16 in safetensors": (lambda s: save_safetensors(in_dtype(s, torch.bfloat16)), "holds torch.bfloat16"),
    "DataParallel": (lambda s: with_prefix(s, "module."), "begin with 'module.', which was left out"),
    "compiled and parallel": (lambda s: with_prefix(s, "_orig_mod.module."), "begin with '_orig_mod.module.'"),
    "state_dict in a dictionary": (lambda s: {"epoch": 20, "state_dict": s}, "from its key 'state_dict'"),
    "net in a dictionary": (lambda s: {"net": s, "acc": 89.4}, "from its key 'net'"),
    "an accuracy of numpy's": (lambda s: {"net": s, "acc": np.float64(0.9), "n": np.int64(3)}, "its key 'net'"),
    "the older of two": (lambda s: {"init": scaled(s), "model": s}, "from its key 'model'"),
    "the trained of two": (
        lambda s: {"initial_state_dict": scaled(s), "model_state_dict": s},
        "from its key 'model_state_dict'",
    ),
    "after and before": (
        lambda s: {"before": {"state_dict": scaled(s)}, "after": {"state_dict": s}},
        "from its key 'after.state_dict'",
    ),
    "the first of two": (lambda s: {"pruned": s, "model": scaled(s)}, "from its key 'pruned'"),
    "a negative view": (lambda s: {**s, FIRST: torch._neg_view(-s[FIRST])}, ""),
    "beside an optimizer": (lambda s: {"opt": {"state": {0: s[FIRST]}}, "run": {"model": s}}, "its key 'run.model'"),
    "pruning masks": (masked, "pruning masks apart; they were multiplied"),
    "extra keys": (lambda s: {**s, "fc2.weight": torch.ones(3)}, "belong to no layer were left out (1): fc2.weight"),
    "shared memory": (expanded, ""),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_right_values_are_accepted_however_they_were_saved(name: str, read: Read, pretrained: State) -> None:
    make, note = ACCEPTED[name]
    found = read(make(pretrained))
    expected = expanded(pretrained) if name == "shared memory" else pretrained
    assert set(found.state) == set(pretrained)
    loose = 0.01 if "float16" in name else 0.0
    for key, tensor in expected.items():
        if "num_batches" not in key:
            assert found.state[key].dtype == np.float32
            np.testing.assert_allclose(found.state[key], tensor.numpy(), rtol=loose, atol=loose / 10)
    assert len(found.notes) == bool(note)
    assert note in " ".join(found.notes)


def changed(state: State, tensor: Any) -> dict[str, Any]:
    return {**state, FIRST: tensor}


def without(state: State, *names: str) -> State:
    return {name: tensor for name, tensor in state.items() if name not in names}


def huge(state: State) -> bytes:
    """A tensor of 4 TB over one number."""
    return saved(changed(state, torch.tensor([1.0]).as_strided((2**20, 2**20), (0, 0))))


def script(state: State) -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), stream)
    return stream.getvalue()


REFUSED: dict[str, tuple[Callable[[State], Any], str]] = {
    "empty": (lambda s: b"", r"is empty: save and hand it in again"),
    "text": (lambda s: b"hello, this is my network", r"is not a checkpoint: save net\.state_dict\(\)"),
    "a Git LFS pointer": (
        lambda s: b"version https://git-lfs.github.com/spec/v1\noid",
        r"LFS pointer.*git lfs pull",
    ),
    "a web page": (lambda s: b"<!DOCTYPE html><html>", r"is a web page"),
    "cut off": (lambda s: saved(s)[:500_000], r"is truncated or damaged"),
    "cut off, old format": (
        lambda s: saved(s, _use_new_zipfile_serialization=False)[:500_000],
        r"is truncated or damaged",
    ),
    "cut off safetensors": (lambda s: save_safetensors(s)[:500_000], r"is truncated or damaged"),
    "another pickle": (
        lambda s: pickle.dumps([1, 2], protocol=4),
        r"holds other Python objects than tensors.*with torch\.save",
    ),
    "pickled arrays": (lambda s: pickle.dumps(plain(s), protocol=5), r"holds other Python objects than tensors"),
    "a whole network": (lambda s: ResNetCIFAR(), r"whole object \(resnet20\.ResNetCIFAR\).*would run code"),
    "a tensor": (lambda s: s[FIRST], r"holds a Tensor: save net\.state_dict\(\)"),
    "a list": (lambda s: [s], r"holds a list"),
    "another network": (
        lambda s: torch.nn.Linear(2, 2).state_dict(),
        r"holds none of the network's 107 tensors",
    ),
    "a missing key": (lambda s: without(s, FIRST), r"lacks 1 of the network's 107 tensors"),
    "another shape": (
        lambda s: changed(s, torch.ones(16, 3, 5, 5)),
        r"head_conv\.0\.conv\.weight in `\S+` has shape \(16, 3, 5, 5\), but should have \(16, 3, 3, 3\)",
    ),
    "4 TB": (huge, r"has shape \(1048576, 1048576\)"),
    "NaN": (lambda s: changed(s, torch.full((16, 3, 3, 3), torch.nan)), r"holds NaN or infinite values"),
    "too large for float32": (
        lambda s: changed(s, torch.full((16, 3, 3, 3), 1e300, dtype=torch.float64)),
        r"holds NaN or infinite values",
    ),
    "integers": (
        lambda s: changed(s, torch.ones(16, 3, 3, 3, dtype=torch.int8)),
        r"is torch\.int8, but should be",
    ),
    "complex": (lambda s: changed(s, torch.ones(16, 3, 3, 3, dtype=torch.cfloat)), r"is torch\.complex64, but should"),
    "sparse": (lambda s: changed(s, torch.ones(16, 3, 3, 3).to_sparse()), r"is not a plain dense tensor"),
    "nested": (
        lambda s: changed(s, torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])),
        r"is not a plain dense tensor",
    ),
    "another protocol": (lambda s: saved(s, pickle_protocol=4), r"pickle_protocol of its own.*and no other options"),
    "an array of objects": (
        lambda s: {"net": s, "log": np.array([object()], dtype=object)},
        r"holds a whole object .*would run code",
    ),
    "words": (lambda s: changed(s, "weights"), r"is a str, not a tensor"),
    "a mask of another shape": (
        lambda s: {**without(s, FIRST), f"{FIRST}_orig": s[FIRST], f"{FIRST}_mask": torch.ones(2)},
        r"has shape \(2\), but should have \(16, 3, 3, 3\)",
    ),
    "TorchScript": (script, r"is a TorchScript archive"),
}


@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_network_gets_one_sentence(name: str, read: Read, pretrained: State) -> None:
    make, message = REFUSED[name]
    with pytest.raises(CheckFailed, match=message) as caught:
        read(make(pretrained))
    assert "`net_after_finetune.pt`" in caught.value.message
    assert "\n" not in caught.value.message
    assert ":" in caught.value.message  # what to do


def test_missing_keys_are_named_with_what_is_there_instead(read: Read, pretrained: State) -> None:
    renamed = {name.replace("final_fc.linear", "fc"): tensor for name, tensor in pretrained.items()}
    with pytest.raises(CheckFailed, match="lacks 2 of") as caught:
        read(renamed)
    assert "final_fc.linear.weight" in (caught.value.expected or "")
    assert "fc.weight" in (caught.value.received or "")


# --- Files that want to harm


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_nothing_in_a_pickle_is_run(read: Read, pretrained: State, tmp_path: Path) -> None:
    mark = tmp_path / "run"
    with pytest.raises(CheckFailed, match="is not opened, since that would run code"):
        read({**pretrained, "bomb": Bomb(mark)})
    assert not mark.exists()


def test_a_bomb_of_zeros_ends_its_own_worker_only(assignment: Assignment, pretrained: State) -> None:
    """1 GiB of zeros packed into 5 MiB: a deflated member, which torch unpacks into memory."""
    archive = io.BytesIO(saved(pretrained))
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(archive) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        for item in source.infolist():
            if item.filename.endswith("data/0"):
                with target.open(item.filename, "w", force_zip64=True) as member:
                    for _ in range(16):
                        member.write(bytes(2**26))
            else:
                target.writestr(item.filename, source.read(item))
    model = plain(pretrained)
    with empty_interview(Interview, assignment, Policy(memory=2**29)) as interview:
        with pytest.raises(CheckFailed, match=r"broke the process|truncated or damaged"):
            read_network(interview, "bomb.pt", packed.getvalue(), model)
        assert read_network(interview, "good.pt", saved(pretrained), model).notes == ()


def test_a_hundred_thousand_keys_are_counted(read: Read, pretrained: State) -> None:
    many = {f"x{i}": pretrained[FIRST] for i in range(100_000)}
    found = read({**pretrained, **many})
    (note,) = found.notes
    assert "left out (100000): x0" in note and len(note) < 300


@pytest.mark.parametrize(
    ("facts", "arrays"),
    [
        ({}, {}),
        ({"missing": "none"}, {}),
        ({"wrong": {FIRST: 3}}, {}),
        ({}, {FIRST: np.zeros((2, 2), np.float32)}),
        ({}, {FIRST: np.zeros((16, 3, 3, 3))}),
    ],
)
def test_an_answer_that_no_honest_worker_gives_is_refused(
    facts: dict[str, Any], arrays: dict[str, Any], pretrained: State
) -> None:
    honest = {
        "wrapper": "",
        "prefix": "",
        "dtypes": [],
        "masked": 0,
        "missing": [],
        "extra": [],
        "extras": 0,
        "wrong": {},
    }

    class Liar:
        def refusal(self, *_: object) -> None:
            return None

        def ask(self, *_: object) -> tuple[Any, Any]:
            told = {**honest, **facts} if facts or arrays else {}
            return told, {**plain(pretrained), **arrays}

    with pytest.raises(CheckFailed, match="makes no sense"):
        read_network(Liar(), "a.pt", b"x", plain(pretrained))  # type: ignore[arg-type]


def test_files_that_break_processes_or_never_end_are_told_apart(pretrained: State) -> None:
    class Broken:
        is_spent = False

        def __init__(self, failure: CheckFailed) -> None:
            self.failure = failure

        def refusal(self, *_: object) -> CheckFailed | None:
            return self.failure if self.is_spent else None

        def ask(self, *_: object) -> None:
            raise self.failure

    for failure, spent, says in (
        (CheckTimedOut("your code did not finish: no answer within 20 seconds"), False, "took too long to open: save"),
        (CheckFailed(f"{BROKEN}: it took 4 GiB"), False, "broke the process that opened it: it took 4 GiB: save"),
        (CheckFailed("its processes died 9 times before this check"), True, "was not opened, since other files"),
        (CheckTimedOut("this submission has used up its 300 seconds"), True, "was not opened, since other files"),
    ):
        worker = Broken(failure)
        worker.is_spent = spent
        with pytest.raises(CheckFailed, match=says) as caught:
            read_network(worker, "a.pt", b"x", plain(pretrained))  # type: ignore[arg-type]
        assert "your code" not in caught.value.message
