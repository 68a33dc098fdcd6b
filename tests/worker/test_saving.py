"""A path that exists only where a function was written costs nothing; every other file is written as ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.errors import CheckFailed
from grader.interview import Interview
from tests.worker.test_host import LAB1, LIMITS, _loss

IMPORTS = "import os, pathlib, pickle, torch\nimport numpy as np\nimport matplotlib.pyplot as plt\n"


@pytest.mark.parametrize("path", ["/content/drive/MyDrive/hw4/net.png", "/nowhere/net.png", "/"])
@pytest.mark.parametrize(
    "save",
    [
        "torch.save({}, PATH)",
        "torch.save({}, f=PATH)",
        "plt.figure(); plt.savefig(PATH)",
        "os.makedirs(os.path.dirname(PATH) or '.', exist_ok=True); np.save(PATH, w)",
        "pathlib.Path(PATH).parent.mkdir(parents=True, exist_ok=True)",
        "os.path.exists(os.path.dirname(PATH)) or os.mkdir(os.path.dirname(PATH))",
        "np.savez_compressed(PATH, a=w)",
    ],
)
def test_a_path_that_is_not_here_costs_nothing(tmp_path: Path, path: str, save: str) -> None:
    call = save.replace("PATH", repr(path))
    (tmp_path / f"{LAB1}.py").write_text(f"{IMPORTS}def loss(X, y, w):\n    {call}\n    return 3.0\n")
    with Interview(tmp_path, LIMITS) as interview:
        assert _loss(interview) == 3.0


@pytest.mark.parametrize(
    "write_and_read",
    [
        "open(PATH, 'a').write('1.'); open(PATH, 'a').write('5'); x = open(PATH).read()",
        "pathlib.Path(PATH).write_text('1.5'); x = pathlib.Path(PATH).read_text()",
        "pickle.dump(1.5, open(PATH, 'wb')); x = pickle.load(open(PATH, 'rb'))",
        "torch.save({'a': 1.5}, PATH); x = torch.load(PATH)['a']",
        "np.savez_compressed(PATH, a=1.5); x = np.load(PATH)['a']",
    ],
)
@pytest.mark.parametrize("path", ["/nowhere/MyDrive/best.npz", "results/best.npz"])
def test_a_file_in_a_folder_that_is_not_here_is_found_again(tmp_path: Path, path: str, write_and_read: str) -> None:
    lines = write_and_read.replace("PATH", repr(path))
    code = f"    {lines}\n    return 2 * float(x) * (not os.path.exists(PATH))\n".replace("PATH", repr(path))
    (tmp_path / f"{LAB1}.py").write_text(f"{IMPORTS}def loss(X, y, w):\n{code}")
    with Interview(tmp_path, LIMITS) as interview:
        assert _loss(interview) == 3.0


@pytest.mark.parametrize("read", ["open(PATH)", "open(PATH, 'r+')", "torch.load(PATH)", "np.load(PATH)"])
@pytest.mark.parametrize("path", ["/nowhere/best.pt", "best.pt"])
def test_a_file_that_nobody_wrote_is_not_there(tmp_path: Path, path: str, read: str) -> None:
    call = read.replace("PATH", repr(path))
    (tmp_path / f"{LAB1}.py").write_text(f"{IMPORTS}open('/nowhere/else', 'w')\ndef loss(X, y, w):\n    {call}\n")
    with Interview(tmp_path, LIMITS) as interview, pytest.raises(CheckFailed, match=f"FileNotFoundError: .*'{path}'"):
        _loss(interview)


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
