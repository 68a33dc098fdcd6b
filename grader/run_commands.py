"""The commands of the full experiments: ``grader runs ...``."""

from __future__ import annotations

import inspect
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from grader import locations
from grader.class_commands import AssignmentOption, load_rubric
from grader.errors import GraderError

if TYPE_CHECKING:
    from rich.progress import Progress

    from grader.runs.execute import Outcome
    from grader.runs.plan import Run

__all__ = ["add_to"]


_Command = TypeVar("_Command", bound=Callable[..., None])


class Precision(StrEnum):
    """In which precision networks are trained."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class ImageKind(StrEnum):
    """Which CIFAR-10 a network is trained and tested on: accuracies on the two cannot be compared."""

    JPEG = "jpeg"
    LOSSLESS = "lossless"


def _folder(named: str) -> Path:
    """What a person names as a folder: an empty name, as an unset variable gives, is not the current one."""
    if not named:
        raise GraderError("the name of a folder is empty: name one, `.` for the current one")
    return Path(named)


OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", parser=_folder, help="Where runs are kept; your cache if not given."),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", parser=_folder, help="Where CIFAR-10 is; else $CIFAR10_DIR, else your cache."
    ),
]
PretrainedOption = Annotated[
    Path | None, typer.Option("--pretrained", metavar="FILE", help="Start from this checkpoint; do not pre-train.")
]
EpochsOption = Annotated[
    int | None,
    typer.Option(
        "--epochs", min=1, help="Passes of each training, if not the rubric's; the table says where they are fewer."
    ),
]
PrecisionOption = Annotated[Precision, typer.Option(help="Of the training; auto takes what is faster here.")]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda or mps; the fastest of this machine if not given.")
]
KeepOption = Annotated[
    ImageKind | None,
    typer.Option(
        "--keep", help="Also make it the project's own network, in fixtures/pretrained; by what images these are."
    ),
]

_app = typer.Typer(
    help="The full experiments on CIFAR-10, with the reference: resumable, each run once for its inputs.",
    no_args_is_help=True,
)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(_app, name="runs")


class _Bench:
    """The runs of a term, and who carries them out."""

    def __init__(
        self,
        out: OutOption = None,
        data: DataOption = None,
        pretrained: PretrainedOption = None,
        epochs: EpochsOption = None,
        precision: PrecisionOption = Precision.AUTO,
        device: DeviceOption = None,
        assignment: AssignmentOption = None,
    ) -> None:
        import torch

        from grader.runs.code import load_code
        from grader.runs.execute import Executor
        from grader.runs.plan import plan

        self.assignment = assignment
        rubric = load_rubric(assignment)
        code = load_code(locations.instructor_folder("reference"))
        try:
            where = torch.device(device) if device else code.train_util.pick_device()
            torch.zeros(1, device=where).item()  # fails where there is no such device, and where it holds no numbers
        except (RuntimeError, AssertionError) as error:
            raise GraderError(f"--device {device}: {str(error).splitlines()[0]}") from None
        self.runs: dict[str, Run] = plan(rubric, epochs)
        self.executor = Executor(
            code=code,
            assignment=rubric,
            root=out or locations.cache_folder() / "runs",
            data=data,
            device=where,
            precision=precision.value,
            pretrained=pretrained,
        )

    def outcomes(self) -> dict[str, Outcome]:
        """Of the runs that have ended, by name; of those whose files are damaged it is said that they are left out."""
        if not self.executor.root.exists():
            print(f"{self.executor.root} does not exist: no run was carried out there", file=sys.stderr)
        found = {name: self.executor.outcome(run, self.runs) for name, run in self.runs.items()}
        for name, outcome in found.items():
            if outcome is None and (damage := self.executor.damage(self.runs[name], self.runs)):
                print(damage, file=sys.stderr)
        if others := [name for name, outcome in found.items() if outcome is None and self._is_elsewhere(name)]:
            print(
                f"carried out with other options than these: {', '.join(others)}; look at --epochs, --pretrained, "
                f"--precision, --data and --assignment, and at inputs.json in {self.executor.root}/RUN/KEY",
                file=sys.stderr,
            )
        return {name: outcome for name, outcome in found.items() if outcome is not None}

    def _is_elsewhere(self, name: str) -> bool:
        """Whether a run of the present modules has ended for other options than the present ones."""
        from grader.runs.cleaning import inputs_of

        return any(
            path.parent != self.executor.folder(self.runs[name], self.runs)
            and inputs_of(path.parent).get("code") == self.executor.code.digest
            for path in (self.executor.root / name).glob("*/outcome.json")
        )

    def measured_by(self) -> list[str]:
        """The options with which `grader check --full` measures what these runs come to."""
        from grader.runs.plan import PRETRAIN

        executor = self.executor
        start = executor.pretrained or executor.folder(self.runs[PRETRAIN], self.runs) / "net.safetensors"
        options = ["--pretrained", str(start)]
        options += ["--data", str(executor.data)] if executor.data else []
        return options + (["--assignment", str(self.assignment)] if self.assignment else [])

    def folders(self) -> dict[str, Path]:
        """Where each run is kept."""
        return {name: self.executor.folder(run, self.runs) for name, run in self.runs.items()}


def _command(name: str | None = None, *, without: Sequence[str] = ()) -> Callable[[_Command], _Command]:
    """Register a command of a bench: its options are its own, and those that a bench is made of."""
    shared = [
        option for option in inspect.signature(_Bench, eval_str=True).parameters.values() if option.name not in without
    ]

    def register(function: _Command) -> _Command:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        def command(**given: Any) -> None:
            bench = _Bench(**{option.name: given.pop(option.name) for option in shared})
            function(bench, **given)

        command.__doc__ = function.__doc__
        command.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        _app.command(name or function.__name__)(command)
        return function

    return register


class _Bar:
    """Tells how the training of one run goes on."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name
        self._task = progress.add_task(name, total=None, rate="")

    def epoch(self, number: int, images: int) -> None:
        self._progress.reset(self._task, total=images, description=f"{self._name} epoch {number}", rate="")

    def images(self, count: int) -> None:
        self._progress.advance(self._task, count)
        if speed := self._progress.tasks[self._task].speed:
            self._progress.update(self._task, rate=f"{speed:,.0f} images/s")

    def ended(self, metrics: dict[str, Any]) -> None:
        self._progress.console.print(
            f"{self._name} epoch {metrics['epoch']}: train loss {metrics['train_loss']:.4f}, "
            f"test accuracy {metrics['test_accuracy']:.2%}, {metrics['images_per_second']:,.0f} images/s",
            highlight=False,
        )


@contextmanager
def _progress() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(soft_wrap=True), transient=True) as progress:
        yield progress


@contextmanager
def _goes_on_later() -> Iterator[None]:
    """Say what becomes of a run that is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        print("stopped: the same command goes on from the last finished epoch", file=sys.stderr)
        raise


@_app.command("list")
def list_runs(assignment: AssignmentOption = None) -> None:
    """Name the runs, what each is, and what it starts from."""
    from grader.runs.plan import plan

    for name, run in plan(load_rubric(assignment)).items():
        told = [f"part {run.experiment.part}", run.experiment.title]
        told += [f"{run.epochs} epochs"] if run.epochs else []
        told += [f"from {run.start}"] if run.start else []
        told += ["only with --extras"] if run.experiment.optional else []
        print(f"{name}: {', '.join(told)}")


@_command("run")
def run_some(
    bench: _Bench, names: Annotated[list[str], typer.Argument(help="Runs as `grader runs list` names them.")]
) -> None:
    """Carry out some runs, and those that they start from; what has been done before is not done again."""
    _carry_out(bench, names)


@_command("all")
def run_all(
    bench: _Bench, extras: Annotated[bool, typer.Option("--extras", help="Optional experiments, too.")] = False
) -> None:
    """Carry out all runs and print the table; killed at any moment, it goes on from the last finished epoch."""
    _carry_out(bench, [], extras=extras)
    _print_table(bench)


def _carry_out(bench: _Bench, names: list[str], *, extras: bool = False) -> None:
    from grader.runs.plan import chosen

    wanted = chosen(bench.runs, names, extras=extras)
    with _goes_on_later(), _progress() as progress:
        for run in wanted:
            outcome = bench.executor.carry_out(run, bench.runs, _Bar(progress, run.name))
            given = " (a checkpoint that is given)" if bench.executor.is_given(run) else ""
            progress.console.print(
                f"{run.name}{given}: accuracy {outcome.accuracy:.2%}, sparsity {outcome.sparsity:.3%}", highlight=False
            )


@_command(without=("pretrained", "epochs"))
def pretrain(bench: _Bench, keep: KeepOption = None) -> None:
    """Train the float network from nothing by the rubric's recipe; says where its checkpoint is."""
    from grader.runs.plan import PRETRAIN

    _carry_out(bench, [PRETRAIN])
    folder = bench.folders()[PRETRAIN]
    print(folder / "net.safetensors")
    if keep:
        from grader.runs import pretrained

        pretrained.keep(folder, bench.executor.assignment.training, keep.value, locations.pretrained())
        print(locations.pretrained())


@_command()
def table(
    bench: _Bench, markdown: Annotated[bool, typer.Option("--markdown", help="As a table for a document.")] = False
) -> None:
    """Print measured beside published; what was not measured, or with fewer epochs, is marked."""
    _print_table(bench, markdown=markdown)


def _print_table(bench: _Bench, *, markdown: bool = False) -> None:
    from rich.console import Console

    from grader.runs.table import as_markdown, as_rich, rows

    found = rows(bench.runs.values(), bench.outcomes(), bench.executor.assignment.full)
    if markdown:
        print(as_markdown(found), end="")
    else:
        Console().print(as_rich(found))


@_command()
def figures(
    bench: _Bench, folder: Annotated[Path, typer.Argument(parser=_folder, help="Where the SVG files go.")]
) -> None:
    """Draw accuracy by sparsity and by bits, sparsity by layer, training curves, weights with their levels."""
    from grader.runs.figures import draw
    from grader.runs.rounds import read_curve

    outcomes, folders = bench.outcomes(), bench.folders()
    for name, outcome in outcomes.items():
        if outcome.epochs and not read_curve(folders[name], outcome.epochs):
            told = f"{folders[name] / 'metrics.jsonl'} is missing or damaged, so {name} has no training curve"
            print(told, file=sys.stderr)
    drawn = draw(bench.executor.code, bench.runs, outcomes, folders, folder)
    if not drawn:
        raise GraderError("no run has ended of which there is a figure: `grader runs all` carries all of them out")
    for path in drawn:
        print(path)


@_command()
def submission(bench: _Bench, folder: Annotated[Path, typer.Argument(parser=_folder, help="A new folder.")]) -> None:
    """Write the reference with its networks and measured numbers, as a student would hand it in."""
    from grader.runs.submission import write_submission

    reference = locations.instructor_folder("reference")
    lacking, homeless = write_submission(bench.runs, bench.outcomes(), bench.folders(), reference, folder)
    if lacking:
        print(f"not measured yet, so empty: {', '.join(lacking)}")
    if homeless:
        print(
            f"without a field in reference/answers.toml, so left out: {', '.join(homeless)}; docs/full.md says how "
            "another term gets its fields"
        )
    print(folder)
    command = ["grader", "check", str(folder), "--full", *bench.measured_by()]
    print(f"measure it with: {shlex.join(command)}", file=sys.stderr)


@_app.command()
def estimate(
    data: DataOption = None,
    pretrained: PretrainedOption = None,
    epochs: EpochsOption = None,
    precision: PrecisionOption = Precision.AUTO,
    device: DeviceOption = None,
    students: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Predict for a class of N, graded by `grader batch --full`.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Its judges; one for each core if not given.")] = None,
    rerun: Annotated[int, typer.Option(min=0, metavar="K", help="Its --rerun; --device says where.")] = 0,
    assignment: AssignmentOption = None,
) -> None:
    """Predict from a few timed batches how long each experiment, or a class of N, takes on this machine."""
    from grader.runs.estimate import estimate as predict
    from grader.runs.estimate import measure_speed

    if students is not None:
        if epochs is not None or pretrained is not None or precision is not Precision.AUTO:
            raise GraderError(
                "--epochs, --pretrained and --precision are for experiments: a class has --rerun K, in float32"
            )
        _estimate_class(_Bench(data=data, device=device or "cpu", assignment=assignment), students, jobs, rerun)
        return
    if rerun or jobs is not None:
        raise GraderError("--rerun and --jobs are for a class: add --students N")
    bench = _Bench(
        data=data, pretrained=pretrained, epochs=epochs, precision=precision, device=device, assignment=assignment
    )
    speed = measure_speed(bench.executor)
    print(f"training {speed.training:,.0f} images/s in {speed.precision}, testing {speed.testing:,.0f} images/s")
    total = 0.0
    for run, seconds in predict(bench.runs.values(), bench.executor, speed):
        is_extra = run.experiment.optional
        total += 0 if is_extra else seconds
        print(f"{run.name}: {seconds / 60:.1f} min" + (", only with --extras" if is_extra else ""))
    print(f"together: {_duration(total)}")


def _estimate_class(bench: _Bench, students: int, jobs: int | None, rerun: int) -> None:
    from grader.runs.class_cost import measure_class_cost

    cost, judges = measure_class_cost(bench.executor, rerun=rerun > 0), jobs or os.cpu_count() or 1
    print(f"checks of one submission: {cost.grading:.1f} s")
    print(f"measuring one network: {cost.measurement:.1f} s; a submission has {cost.networks}")
    if rerun:
        print(f"{cost.trainings} trainings with --rerun {rerun}: {rerun * cost.epoch / 60:.1f} min a submission")
    print(f"one submission: {cost.submission(rerun) / 60:.1f} min")
    whole = cost.whole(students, judges, rerun, one_gpu=bench.executor.device.type == "cuda")
    told = f"{students} students" if students > 1 else "1 student"
    told += f", {judges} judges" if judges > 1 else ", 1 judge"
    print(f"{told}: {_duration(whole)}")


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


@_command()
def clean(
    bench: _Bench,
    everything: Annotated[bool, typer.Option("--all", help="Remove all runs, not only stale ones.")] = False,
) -> None:
    """Remove runs that other texts of the assignment's modules made; those of other options and inputs are kept."""
    from grader.runs.cleaning import removable, remove

    stale = list(removable(bench.executor.root, bench.runs, None if everything else bench.executor.code.digest))
    for folder in stale:
        remove(folder)
        print(f"removed {folder}")
    if not stale:
        print(f"nothing to remove in {bench.executor.root}", file=sys.stderr)
