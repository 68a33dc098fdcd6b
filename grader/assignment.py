"""The rubric: parts, points, weights of checks and the parameters of a term, from one validated TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from grader.errors import AssignmentError

__all__ = [
    "Assignment",
    "Experiment",
    "FullThresholds",
    "Late",
    "Limits",
    "Part",
    "QuickThresholds",
    "Recipe",
    "Term",
    "Training",
    "load_assignment",
]

Percent = Annotated[float, Field(gt=0, lt=100)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Points = Annotated[float, Field(ge=0)]
Bits = Annotated[int, Field(ge=1, le=16)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Model):
    """What a submission may take: seconds for one probe, at first and after timeouts in its lab, and for all together;
    and for each function, how often its process is replaced and after how many timeouts it is not tried again.
    """

    probe_seconds: Positive
    least_seconds: Positive
    submission_seconds: Positive
    restarts: Count
    timeouts: Count


class Term(_Model):
    """The numbers of the assignment that change between terms."""

    learning_rate: Positive
    steps: Count
    top_k: Count
    l1_lambdas: Annotated[tuple[Positive, ...], Field(min_length=1)]
    proximal_lambdas: Annotated[tuple[Positive, ...], Field(min_length=1)]
    trimmed_lambdas: Annotated[tuple[Positive, ...], Field(min_length=1)]
    trimmed_n_penalized: Count
    one_shot_sparsities: Annotated[tuple[Percent, ...], Field(min_length=1)]
    target_sparsity: Percent
    epochs: Count
    ramp_epochs: Count
    bits: Annotated[tuple[Bits, ...], Field(min_length=2)]
    finetuned_bits: Annotated[tuple[Bits, ...], Field(min_length=2)]


class QuickThresholds(_Model):
    """Largest accepted drops from the float accuracy on the tiny images, in percentage points."""

    finetuned_max_drop: Positive
    iterative_max_drop: Positive
    global_max_drop: Positive
    quantized_max_drop: Positive
    sparse_quantized_max_drop: Positive


class Recipe(_Model):
    """How a network is trained from nothing: ``train_util.Recipe`` explains each of these."""

    epochs: Count
    batch_size: Count
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    reg: Annotated[float, Field(ge=0)]
    nesterov: bool = False
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0


class Training(_Model):
    """How the full experiments train: depth of the ResNet, batch size and SGD of the fine-tuning, the pre-training."""

    num_layers: Count
    batch_size: Count
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    reg: Annotated[float, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)] = 0
    pretrain: Recipe


class Experiment(_Model):
    """One row of the table of results, or one for each value.

    Attributes:
        title: what the row is called.
        part: of the assignment.
        method: how its network is made.
        start: the run whose network it starts from.
        over: which of the term's numbers are its values.
        symmetric: whether its weights are quantized symmetrically.
        optional: whether it is left out unless it is asked for.
        published: percent by value, of one real student on the lossless images; "" without values.
    """

    title: str
    part: str
    method: Literal[
        "pretrain", "evaluate", "one_shot", "finetune", "iterative", "global_iterative", "ptq", "qat", "regrown"
    ]
    start: str | None = None
    over: Literal["one_shot_sparsities", "bits", "finetuned_bits"] | None = None
    symmetric: bool = False
    optional: bool = False
    published: Mapping[str, float] = Field(default_factory=dict)

    @property
    def trains(self) -> bool:
        """Whether its network is trained, and not only made and measured."""
        return self.method not in ("evaluate", "one_shot", "ptq")

    @property
    def ramps(self) -> bool:
        """Whether it is pruned in steps over some epochs."""
        return self.method in ("iterative", "global_iterative")

    @property
    def prunes_to_target(self) -> bool:
        """Whether it is pruned to the term's target."""
        return self.ramps or self.method == "finetune"

    @model_validator(mode="after")
    def _values_and_starts(self) -> Self:
        if (self.method in ("one_shot", "ptq", "qat", "regrown")) != (self.over is not None):
            raise ValueError(f"method {self.method!r} " + ("needs over" if self.over is None else "has no values"))
        if (self.method == "pretrain") != (self.start is None):
            raise ValueError("pretrain starts from nothing, every other method needs start")
        return self


class FullThresholds(_Model):
    """What the full profile holds networks against, on the test images of CIFAR-10.

    Drops are in percentage points below the pre-trained network's accuracy on the same images, by bits where a network
    is quantized. The tolerances are percentage points between what is reported and what is measured: an accuracy, one
    after one-shot pruning, where single weights matter, and a share of zeros.
    ``least_similarity``: the cosine of a network's weights and the pre-trained ones below which it is called another
    network. ``evaluation_seconds``: what one measurement may take.
    """

    finetuned_max_drop: Positive
    iterative_max_drop: Positive
    global_max_drop: Positive
    quantized_max_drop: Mapping[Bits, Positive]
    sparse_quantized_max_drop: Mapping[Bits, Positive]
    rerun_max_drop: Positive
    reported_tolerance: Positive
    one_shot_tolerance: Positive
    zeros_tolerance: Positive
    least_similarity: Annotated[float, Field(gt=0, lt=1)]
    evaluation_seconds: Positive


class Late(_Model):
    """What handing in late costs: a share of the points, for each day begun after the deadline and the grace.

    ``deadline`` has a time zone; without one, only what the course site marks as late counts, as one day.
    After ``max_days`` days nothing is left.
    """

    deadline: AwareDatetime | None = None
    grace_minutes: Annotated[float, Field(ge=0)] = 0
    percent_per_day: Annotated[float, Field(ge=0, le=100)] = 0
    max_days: Annotated[int, Field(ge=0)] | None = None


class Part(_Model):
    """A part of the assignment; its automatic points are shared among the checks that ran, by weight."""

    id: str
    title: str
    automatic: Points
    manual: Points = 0
    bonus: bool = False
    public: Mapping[str, Points] = Field(default_factory=dict)
    hidden: Mapping[str, Points] = Field(default_factory=dict)
    full: Mapping[str, Points] = Field(default_factory=dict)
    rerun: Mapping[str, Points] = Field(default_factory=dict)
    reading: str = ""

    @property
    def weights(self) -> dict[str, float]:
        """Weight by check of the quick profile, public and hidden."""
        return {**self.public, **self.hidden}

    def weights_with(self, *, full: bool, rerun: bool) -> dict[str, float]:
        """Weight by check, also of those that need CIFAR-10 and of those that run the student's code on it."""
        return {**self.weights, **(self.full if full else {}), **(self.rerun if rerun else {})}

    @model_validator(mode="after")
    def _some_check_earns_the_points(self) -> Self:
        if both := self.public.keys() & self.hidden.keys():
            raise ValueError(f"part {self.id}: {', '.join(sorted(both))} is both public and hidden")
        if self.automatic and not sum(self.weights.values()):
            raise ValueError(f"part {self.id}: {self.automatic:g} automatic points, but no check has a weight")
        return self


class Assignment(_Model):
    """The whole rubric of one term."""

    name: str
    total: Points
    automatic_total: Points
    limits: Limits
    term: Term
    quick: QuickThresholds
    full: FullThresholds
    training: Training
    experiments: Mapping[str, Experiment]
    parts: Mapping[str, Part]
    late: Late = Late()
    left_out: frozenset[str] = frozenset()
    """Checks of the parts that this term leaves out."""

    @model_validator(mode="before")
    @classmethod
    def _name_the_parts(cls, data: Any) -> Any:
        """The key of a part's table is its id."""
        parts = data.get("parts") if isinstance(data, dict) else None
        if not isinstance(parts, dict):
            return data
        named = {key: {"id": key, **part} if isinstance(part, dict) else part for key, part in parts.items()}
        return {**data, "parts": named}

    @model_validator(mode="after")
    def _totals_and_names(self) -> Self:
        scored = [part for part in self.parts.values() if not part.bonus]
        automatic, manual = sum(p.automatic for p in scored), sum(p.manual for p in scored)
        if automatic != self.automatic_total:
            raise ValueError(
                f"the parts have {automatic:g} automatic points, automatic_total says {self.automatic_total:g}"
            )
        if automatic + manual != self.total:
            raise ValueError(f"the parts have {automatic + manual:g} points, total says {self.total:g}")
        names = [name for part in self.parts.values() for name in part.weights_with(full=True, rerun=True)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is a check of more than one part")
        if self.term.ramp_epochs > self.term.epochs:
            raise ValueError("term.ramp_epochs is larger than term.epochs: the ramp would not reach its target")
        return self

    @model_validator(mode="after")
    def _every_number_of_bits_has_a_threshold(self) -> Self:
        for name in ("quantized_max_drop", "sparse_quantized_max_drop"):
            if lacking := sorted(set(self.term.finetuned_bits) - set(getattr(self.full, name))):
                raise ValueError(f"full.{name} has no drop for {lacking[0]} bits, which term.finetuned_bits names")
        return self

    @property
    def hidden_checks(self) -> set[str]:
        """The checks whose cases students do not see."""
        return {name for part in self.parts.values() for name in part.hidden}

    @property
    def trainings(self) -> list[str]:
        """By each training that ``--rerun`` runs again, the part that it belongs to."""
        return [part.id for part in self.parts.values() for _ in part.rerun]


def load_assignment(path: Path) -> Assignment:
    """Read a rubric. A file with ``extends`` changes single values of another one beside it.

    Raises:
        AssignmentError: naming the file and every key that is wrong.
    """
    data = _read(path)
    try:
        return Assignment.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(_explain(detail) for detail in error.errors())
        raise AssignmentError(f"{path}: {problems}") from None


def _read(path: Path, depth: int = 0) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AssignmentError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AssignmentError(f"{path} is not valid TOML: {error}") from None
    base = data.pop("extends", None)
    dropped = data.pop("without_parts", [])
    if base is not None:
        if depth > 5:
            raise AssignmentError(f"{path}: extends goes round in circles")
        data = _merge(_read(path.parent / str(base), depth + 1), data)
    for part in dropped:
        _leave_out(data, part, path)
    return data


def _leave_out(data: dict[str, Any], part: str, path: Path) -> None:
    table = data.get("parts", {}).pop(part, None)
    if table is None:
        raise AssignmentError(f"{path}: without_parts names {part!r}, which is no part of the rubric")
    checks = [name for kind in ("public", "hidden", "full", "rerun") for name in table.get(kind, {})]
    data["left_out"] = sorted({*data.get("left_out", []), *checks})


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key; everything else is replaced."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _explain(detail: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    what = {"extra_forbidden": "unknown key", "missing": "is missing"}.get(detail["type"], detail["msg"])
    what = what.removeprefix("Value error, ")
    return f"{where}: {what}" if where else what
