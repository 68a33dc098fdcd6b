"""The options of the full profile, which ``grader check`` and ``grader batch`` share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader.errors import GraderError

if TYPE_CHECKING:
    from grader.full.standard import FullOptions

__all__ = ["DataOption", "FullOption", "PretrainedOption", "RerunDevice", "RerunDeviceOption", "RerunMinutesOption",
           "RerunOption", "full_options"]  # fmt: skip


class RerunDevice(StrEnum):
    """Where a submission's own training runs."""

    CPU = "cpu"
    CUDA = "cuda"


FullOption = Annotated[
    bool, typer.Option("--full", help="Measure the checkpoints and reported accuracies on CIFAR-10 too (minutes).")
]
DataOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where CIFAR-10 is, for --full; else CIFAR10_DIR, or the cache.")
]
PretrainedOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The class's pre-trained ResNet-20, for --full.")
]
RerunOption = Annotated[
    int, typer.Option(min=0, metavar="K", help="Run the submission's own training for K epochs, with --full.")
]
RerunMinutesOption = Annotated[
    float | None, typer.Option(help="What each training of --rerun may take, 0.01 to 10,000; 60 if not given.")
]
RerunDeviceOption = Annotated[
    RerunDevice | None, typer.Option(help="Where --rerun trains; the CPU if not given.", show_choices=True)
]


def full_options(
    full: bool,
    data: Path | None,
    pretrained: Path | None,
    rerun: int,
    rerun_minutes: float | None,
    rerun_device: RerunDevice | None,
) -> FullOptions | None:
    """What the options say; None for the quick profile.

    Raises:
        GraderError: an option belongs to another that was not given, or is out of range.
    """
    if rerun_minutes is not None and not 0.01 <= rerun_minutes <= 10_000:
        raise GraderError(f"--rerun-minutes is {rerun_minutes:g}, but must be a number from 0.01 to 10,000")
    if not full:
        given = {"--data": data, "--pretrained": pretrained, "--rerun": rerun, "--rerun-minutes": rerun_minutes,
                 "--rerun-device": rerun_device}  # fmt: skip
        if stray := [name for name, value in given.items() if value]:
            raise GraderError(f"{stray[0]} is for the full profile: add --full")
        return None
    given = {"--rerun-minutes": rerun_minutes, "--rerun-device": rerun_device}
    if not rerun and (stray := [name for name, value in given.items() if value]):
        raise GraderError(f"{stray[0]} is for a re-run: add --rerun K")
    from grader.full.standard import FullOptions

    return FullOptions(data, pretrained, rerun, rerun_minutes or 60, (rerun_device or RerunDevice.CPU).value)
