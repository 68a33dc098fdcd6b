"""The options of the full profile, which ``grader check`` and ``grader batch`` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader.errors import GraderError

if TYPE_CHECKING:
    from grader.full.standard import FullOptions

__all__ = ["DataOption", "FullOption", "PretrainedOption", "RerunMinutesOption", "RerunOption", "full_options"]

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
    float | None, typer.Option(min=0.01, help="What each training of --rerun may take; 60 if not given.")
]


def full_options(
    full: bool, data: Path | None, pretrained: Path | None, rerun: int, rerun_minutes: float | None
) -> FullOptions | None:
    """What the options say; None for the quick profile.

    Raises:
        GraderError: an option belongs to another that was not given.
    """
    if not full:
        given = {"--data": data, "--pretrained": pretrained, "--rerun": rerun, "--rerun-minutes": rerun_minutes}
        if stray := [name for name, value in given.items() if value]:
            raise GraderError(f"{stray[0]} is for the full profile: add --full")
        return None
    if rerun_minutes is not None and not rerun:
        raise GraderError("--rerun-minutes is what each training of a re-run may take: add --rerun K")
    from grader.full.standard import FullOptions

    options = FullOptions(data, pretrained, rerun)
    return options if rerun_minutes is None else FullOptions(data, pretrained, rerun, rerun_minutes)
