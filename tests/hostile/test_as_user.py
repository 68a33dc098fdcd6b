"""The sandbox of an ordinary user, where the tests run as root: one attack for each layer, and what doctor says."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.as_user import run_as_user
from tests.hostile.attacks import ATTACKS

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can become another user",
)
FIRST = {attack.layer: attack.name.replace(" ", "-") for attack in reversed(ATTACKS) if not attack.root_only}


@pytest.fixture
def home() -> Iterator[Path]:
    """Not below pytest's own folder, which only root can enter."""
    folder = Path(tempfile.mkdtemp(prefix="user-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_an_ordinary_user_has_every_layer_that_root_has(home: Path) -> None:
    doctor = [sys.executable, "-c", "from grader.cli import main; main()", "doctor", "--json"]
    done = run_as_user(doctor, home, timeout=60)
    assert done.returncode == 0, done.stderr
    missing = {name: state["detail"] for name, state in json.loads(done.stdout)["sandbox"].items() if not state["on"]}
    if "network" in missing:
        pytest.skip(f"users get no namespaces here: {missing}")
    assert missing == {}


def test_attacks_fail_for_an_ordinary_user_too(home: Path) -> None:
    """One for each layer, with it and without it; all of them run so if the whole suite is started by a user."""
    ids = [f"tests/hostile/test_attacks.py::{test}[{name}]" for layer, name in FIRST.items()
           for test in ("test_an_attack_fails_and_costs_only_its_own_checks", "test_without_its_layer_it_succeeds")
           if layer is not None or test.startswith("test_an")]  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ids]
    done = run_as_user(command, home, timeout=80)
    assert done.returncode == 0, done.stdout
