"""Processes side by side: results come back, and a process that dies, hangs or cannot begin is said to."""

from __future__ import annotations

import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from grader.crew import Crew, Lost
from grader.errors import GraderError, InternalError


@contextmanager
def _worker(folder: Path) -> Iterator[Callable[[str], str]]:
    yield functools.partial(_work, folder)
    (folder / f"ended-{os.getpid()}").touch()


def _work(folder: Path, item: str) -> str:
    if item == "die":
        os._exit(3)
    if item == "hang":
        time.sleep(600)
    if item == "raise":
        raise ValueError("no")
    if item == "refuse":
        raise GraderError("not this one")
    if item == "unpicklable":
        return lambda: None  # type: ignore[return-value]
    (folder / f"pid-{os.getpid()}").touch()
    if item == "threads":
        return os.environ["OPENBLAS_NUM_THREADS"]
    return item.upper()


@contextmanager
def _cannot(folder: Path) -> Iterator[Callable[[str], str]]:
    raise GraderError("there is no sandbox")
    yield lambda item: item


def _run(folder: Path, items: list[str], jobs: int = 2, seconds: float = 60.0) -> dict[str, str | Lost]:
    with Crew[str, str](functools.partial(_worker, folder), jobs, seconds) as crew:
        return {ended[0]: ended[1] for ended in crew.run(items) if ended}


def test_every_item_has_a_result(tmp_path: Path) -> None:
    items = [f"item{number}" for number in range(9)]
    assert _run(tmp_path, items) == {item: item.upper() for item in items}
    assert len(list(tmp_path.glob("pid-*"))) == len(list(tmp_path.glob("ended-*"))) == 2


def test_each_process_computes_with_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    assert _run(tmp_path, ["threads"]) == {"threads": "1"}
    assert os.environ["OPENBLAS_NUM_THREADS"] == "7"


def test_what_fails_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    done = _run(tmp_path, ["die", "raise", "refuse", "unpicklable", "a", "b"])
    said = {item: (type(result.error), str(result.error)) for item, result in done.items() if isinstance(result, Lost)}
    assert {item: result for item, result in done.items() if isinstance(result, str)} == {"a": "A", "b": "B"}
    assert said["die"] == (InternalError, "a process that grades ended with status 3")
    assert said["raise"] == (InternalError, "ValueError: no")
    assert said["refuse"] == (GraderError, "not this one")
    assert said["unpicklable"][0] is InternalError


def test_what_hangs_is_given_up(tmp_path: Path) -> None:
    done = _run(tmp_path, ["hang", "a"], jobs=1, seconds=3.0)
    assert isinstance(done["hang"], Lost) and "no result within 3 seconds" in str(done["hang"].error)
    assert done["a"] == "A"


def test_what_cannot_begin_is_an_error(tmp_path: Path) -> None:
    with (
        Crew[str, str](functools.partial(_cannot, tmp_path), 2) as crew,
        pytest.raises(GraderError, match="no sandbox"),
    ):
        list(crew.run(["a"]))


def test_leaving_early_leaves_no_process(tmp_path: Path) -> None:
    others = set(psutil.Process().children())  # what other tests have started
    before = set(Path(tempfile.gettempdir()).glob("grader-judge-*"))
    with Crew[str, str](functools.partial(_worker, tmp_path), 2) as crew:
        next(ended for ended in crew.run(["a", "hang", "hang"], tick=0.05) if ended)
        assert [item for item, _ in crew.running()] == ["hang"] * len(crew.running())
        started = set(psutil.Process().children()) - others
        mine = [child for child in started if "resource_tracker" not in "".join(child.cmdline())]
        assert mine
    assert psutil.wait_procs(mine, 5)[1] == []
    assert set(Path(tempfile.gettempdir()).glob("grader-judge-*")) <= before
