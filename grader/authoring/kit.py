"""``grader kit build``: what students get: template, pre-trained network, instructions, and the wheel."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from grader import __version__, locations
from grader.authoring import template
from grader.authoring.archive import write_archive
from grader.errors import GraderError
from grader.runs.networks import as_torch_saves

__all__ = ["PRETRAINED", "build_kit", "build_wheel"]

PRETRAINED = "pretrained_model.pt"
"""The network of Labs 2 and 3, where the notebook looks for it."""

_INSTRUCTIONS = Path(__file__).with_name("kit_readme.md")


def build_wheel(folder: Path) -> Path:
    """The wheel with the public checks and the public goldens only.

    Raises:
        GraderError: the build failed, with the builder's last words.
    """
    project = locations.instructor_folder("reference").parent
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        raise GraderError(f"the wheel could not be built: {lines[-1]}")
    return wheels[-1]


def build_kit(out: Path) -> Path:
    """Write ``compression-lab-kit-VERSION.zip`` to ``out``.

    Raises:
        StaleOutput: the template is not up to date.
        GraderError: the wheel could not be built.
    """
    template.check()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = build_wheel(Path(scratch))
        files = template.generate() | {
            "README.md": _INSTRUCTIONS.read_bytes().replace(b"WHEEL", wheel.name.encode()),
            wheel.name: wheel.read_bytes(),
            PRETRAINED: as_torch_saves(locations.pretrained()),
        }
    archive = out / f"compression-lab-kit-{__version__}.zip"
    return write_archive(archive, {f"hw4/{name}": content for name, content in files.items()})
