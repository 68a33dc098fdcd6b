"""A path that exists only where a function was written costs nothing; every other file is written as ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.interview import Interview
from tests.worker.test_host import LAB1, LIMITS, _loss

IMPORTS = "import os, torch\nimport numpy as np\nimport matplotlib.pyplot as plt\n"


@pytest.mark.parametrize("path", ["/content/drive/MyDrive/hw4/net.png", "/nowhere/net.png", "/"])
@pytest.mark.parametrize(
    "save",
    [
        "torch.save({}, PATH)",
        "torch.save({}, f=PATH)",
        "plt.figure(); plt.savefig(PATH)",
        "os.makedirs(os.path.dirname(PATH) or '.', exist_ok=True); np.save(PATH, w)",
    ],
)
def test_a_path_that_is_not_here_costs_nothing(tmp_path: Path, path: str, save: str) -> None:
    call = save.replace("PATH", repr(path))
    (tmp_path / f"{LAB1}.py").write_text(f"{IMPORTS}def loss(X, y, w):\n    {call}\n    return 3.0\n")
    with Interview(tmp_path, LIMITS) as interview:
        assert _loss(interview) == 3.0


def test_what_can_be_written_is_written(tmp_path: Path) -> None:
    write = "torch.save({'a': 2.0}, 'net.pt'); plt.figure(); plt.savefig('plot.png')"
    read = "torch.load('net.pt')['a'] + os.path.isfile('plot.png')"
    (tmp_path / f"{LAB1}.py").write_text(f"{IMPORTS}def loss(X, y, w):\n    {write}\n    return {read}\n")
    with Interview(tmp_path, LIMITS) as interview:
        assert _loss(interview) == 3.0


def test_a_folder_is_made_or_is_there(tmp_path: Path) -> None:
    code = "    os.makedirs('a/b')\n    try: os.makedirs('a/b')\n    except FileExistsError: return 3.0\n"
    (tmp_path / f"{LAB1}.py").write_text(f"{IMPORTS}def loss(X, y, w):\n{code}")
    with Interview(tmp_path, LIMITS) as interview:
        assert _loss(interview) == 3.0
