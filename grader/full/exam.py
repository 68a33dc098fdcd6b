"""The networks and numbers of one submission in the full profile: read, placed and measured when first asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property

from grader.assignment import Assignment
from grader.cases import Arrays
from grader.checkpoints import EITHER, HandedIn
from grader.errors import CheckFailed, InternalError
from grader.full import measures
from grader.full.reading import read_network
from grader.full.rerun import Rerun, rerun_note
from grader.full.standard import Standard
from grader.interview import Interview
from grader.notebook import listed
from grader.report import Measurement
from grader.written import Written

__all__ = ["Exam", "Measured", "Network", "field", "in_percent", "one_shot_field"]

_NAMES = {
    "2c": "net_after_finetune.pt",
    "2d": "net_after_iterative_prune.pt",
    "2e": "net_after_global_iterative_prune.pt",
    "3c": "quantized_net_after_finetune_4bit.pt",
    "3d": "quantized_sparse_net_after_finetune_4bit.pt",
}
"""By part, the name of its checkpoint, or of the first of them."""

_LEAST_BASELINE = 20
"""Percent; twice what guessing one of ten classes gets."""

_ONE_SHOT = re.compile(r"q(\d+(?:\.\d+)?)")
"""A field of 2(b) in answers.toml: the percentage that was pruned."""


def field(part: str, *path: str) -> str:
    """How a message names a field of answers.toml: ``[2d.numbers] accuracy``."""
    name = f'"{path[-1]}"' if "." in path[-1] else path[-1]
    return f"[{'.'.join((part, *path[:-1]))}] {name}"


def one_shot_field(percent: float) -> tuple[str, str]:
    """Where the accuracy with so many percent of every layer pruned is reported."""
    return "2b", f"q{percent:g}"


def in_percent(reported: float, measured: float) -> float:
    """A reported number in percent; what is at most 1 may be a fraction, if that is nearer to what was measured."""
    if reported <= 1 and abs(100 * reported - measured) < abs(reported - measured):
        return round(100 * reported, 4)
    return reported


def _title(part: str) -> str:
    """``2(c)``."""
    return f"{part[0]}({part[1]})"


@dataclass(frozen=True)
class Network:
    """A network that was handed in: float weights, or quantized ones.

    ``bits`` is what its name tells, or what its weights do; None for what may be of any number of bits. ``is_tuned``
    says whether the name tells of fine-tuning, ``is_placed`` whether its weights decided its part.
    """

    file: str
    part: str
    bits: int | None
    state: Arrays
    notes: tuple[str, ...]
    is_tuned: bool = False
    is_placed: bool = False

    @property
    def shown(self) -> str:
        """Its name in a message."""
        return f"`{listed([self.file])}`"


def _is_among(network: Network, asked: tuple[int, ...]) -> bool:
    """Whether a network may be of one of the numbers of bits that are asked for."""
    return network.bits is None or network.bits in asked


def _other_bits(network: Network, asked: tuple[int, ...]) -> str:
    return f"{network.shown} has {network.bits} bits, but this term asks for {listed(map(str, asked))}"


@dataclass(frozen=True)
class Measured:
    """An accuracy and the drop from the pre-trained network's, both in percent or percentage points."""

    accuracy: float
    drop: float


class Exam:
    """What the checks of the full profile ask.

    Args:
        assignment: the rubric.
        standard: what the networks are held against.
        handed_in: the checkpoints of the submission.
        interview: a worker that opens them.
        written: the parsed answers.toml.
        rerun: runs the student's own training functions; None where that was not asked for.
        template: the answers.toml that students were given.
    """

    def __init__(
        self,
        assignment: Assignment,
        standard: Standard,
        handed_in: tuple[HandedIn, ...],
        interview: Interview,
        written: Written,
        rerun: Rerun | None = None,
        template: Written | None = None,
    ) -> None:
        self.standard = standard
        self._rerun = rerun
        self.thresholds = assignment.full
        self._term = assignment.term
        self._handed_in = handed_in
        self._interview = interview
        self._written = written
        self._template = template or Written()
        self._rows: dict[tuple[str, str, int | None], Measurement] = {}

    @property
    def is_rerun(self) -> bool:
        """Whether the student's own training functions are run again."""
        return self._rerun is not None

    @property
    def rerun(self) -> Rerun:
        """Runs them.

        Raises:
            InternalError: that was not asked for.
        """
        if self._rerun is None:
            raise InternalError("this check belongs to a re-run")
        return self._rerun

    # --- what was handed in

    @cached_property
    def _read(self) -> dict[str, Network | CheckFailed]:
        """Every file, by its path, as the network that it holds or with what is wrong with it."""
        return {item.path: self._open(item) for item in self._handed_in}

    def _open(self, item: HandedIn) -> Network | CheckFailed:
        if item.problem:
            return CheckFailed(f"`{listed([item.path])}` {item.problem}")
        try:
            read = read_network(self._interview, item.path, item.content, self.standard.pretrained)
        except CheckFailed as failure:
            return failure
        network = Network(item.path, item.part, item.bits, read.state, read.notes, item.is_tuned)
        return self._placed(network) if item.part.startswith("3") else network

    def _placed(self, network: Network) -> Network:
        """A quantized network with the part and the number of bits that its name may not tell."""
        levels = max(measures.levels_by_layer(network.state).values())
        fitting = [bits for bits in self._term.finetuned_bits if levels <= 2**bits]
        if network.bits is None and fitting:
            network = replace(network, bits=min(fitting))
        if network.part != EITHER:
            return network
        if self.is_stranger(network):  # its weights tell nothing, but its zeros
            is_pruned = measures.sparsity(network.state) > self._term.target_sparsity / 200
        else:
            is_pruned = self.descends_from_a_pruned_one(network.state)
        return replace(network, part="3d" if is_pruned else "3c", is_placed=True)

    def is_stranger(self, network: Network) -> bool:
        """Whether a network has too little in common with the pre-trained one to descend from it."""
        return self.similarity(network) < self.thresholds.least_similarity

    def descends_from_a_pruned_one(self, state: Arrays) -> bool:
        """Whether its weights are nearer to the pruned pre-trained network than to the dense one, and near at all.

        Weights that grew back from zero are still small, so that this shows even when no weight is zero any more.
        """
        dense = self.standard.pretrained
        target = self._term.target_sparsity
        pruned = (measures.pruned_globally(dense, target), measures.pruned_by_layer(dense, target))
        to_pruned = max(measures.similarity(state, other, dense) for other in pruned)
        return to_pruned > max(measures.similarity(state, dense, dense), self.thresholds.least_similarity)

    def networks(self, part: str) -> list[Network]:
        """The networks of a part, at least one.

        Raises:
            CheckFailed: none was handed in, or none that can be used.
        """
        if found := self.usable(part):
            return found
        if broken := self._broken(part):
            raise CheckFailed.together(broken)
        raise CheckFailed(self._absence(part))

    def usable(self, part: str) -> list[Network]:
        """The networks of a part that could be read and count for it; there may be none."""
        return self._sorted_out(part)[0]

    def _sorted_out(self, part: str) -> tuple[list[Network], list[str]]:
        """The networks of a part that count for it, and why others do not: notes.

        Nobody has to hand in those others, so they cost nothing while there are better ones.
        """
        found = [read for read in self._read.values() if isinstance(read, Network) and read.part == part]
        asked = self._term.finetuned_bits
        is_tuned = any(network.is_tuned for network in found if _is_among(network, asked))
        counting: list[Network] = []
        notes: list[str] = []
        for network in found:
            if not _is_among(network, asked) and any(_is_among(other, asked) for other in found):
                why = _other_bits(network, asked)
            elif is_tuned and not network.is_tuned:
                why = f"{network.shown} does not say in its name that it was fine-tuned, as others do"
            else:
                counting.append(network)
                continue
            notes.append(f"{why}; it was left out of {_title(part)}.")
        if counting:
            left = f"It was left out, since there are other networks of {_title(part)}."
            notes += [f"{failure.message}. {left}" for failure in self._broken(part)]
        return counting, notes

    def _broken(self, part: str) -> list[CheckFailed]:
        """What is wrong with the files that may belong to a part and cannot be used."""
        named = [item.path for item in self._handed_in
                 if item.part == part or (item.part == EITHER and part.startswith("3"))]  # fmt: skip
        return [read for path in named if isinstance(read := self._read[path], CheckFailed)]

    def network(self, part: str) -> Network:
        """The network of a part of Lab 2; see ``networks``."""
        return self.networks(part)[0]

    def _absence(self, part: str) -> str:
        message = f"no network of {_title(part)} was handed in: save its state dict as {_NAMES[part]}"
        for read in self._read.values():
            if isinstance(read, Network) and read.is_placed and part.startswith("3"):
                return f"{message} ({read.shown} was taken as that of {_title(read.part)}: it {self._descent(read)})"
        return message

    def _descent(self, network: Network) -> str:
        """Why a network of Lab 3 was taken for that of its part."""
        if self.is_stranger(network):
            zeros = 100 * measures.sparsity(network.state)
            return f"does not descend from the pre-trained network, and has {zeros:.1f} % zeros"
        return f"descends from {'a pruned network' if network.part == '3d' else 'the dense pre-trained network'}"

    def notes(self, parts: list[str]) -> list[str]:
        """What a student should know of how the files were read, and how trainings were run again."""
        told = self._doubts()
        told += [rerun_note(self._rerun.options), *self._rerun.notes] if self._rerun else []
        for part in [part for part in _NAMES if part in parts]:
            told += self._sorted_out(part)[1]
            told += [note for network in self.usable(part) for note in network.notes]
        return told + self._repeated(parts)

    def _doubts(self) -> list[str]:
        """Whether all images are there, and the network that all drops are drops from is one that was trained.

        Where nothing was measured it does not matter, and the network is not measured for it.
        """
        if not self._rows:
            return []
        told = [f"{self.standard.shortfall}."] if self.standard.shortfall else []
        try:
            baseline = self.baseline
        except (CheckFailed, InternalError):  # a check has said so, or nothing depends on it
            return told
        if baseline >= _LEAST_BASELINE:
            return told
        return [
            *told,
            f"The pre-trained network ({self.standard.name}) classifies only {baseline:.2f} % of {self.images} right, "
            "so that drops from it say little. This is for the instructor: is it the class's network?",
        ]

    def _repeated(self, parts: list[str]) -> list[str]:
        """Which trained networks were handed in for several parts: one network is hardly the result of both."""
        holders: dict[str, list[Network]] = {}
        for network in [network for part in _NAMES if part in parts for network in self.usable(part)]:
            if not measures.is_untrained(network.state, self.standard.pretrained):
                holders.setdefault(measures.digest_of(network.state), []).append(network)
        return [
            f"The files {listed(network.file for network in same)} hold the same trained network, though they were "
            f"handed in for {listed(_title(part) for part in shared)}."
            for same in holders.values()
            if len(shared := list(dict.fromkeys(network.part for network in same))) > 1
        ]

    # --- numbers

    @property
    def images(self) -> str:
        """What was measured on, for messages."""
        return f"the grader's {self.standard.images:,} test images"

    @property
    def baseline(self) -> float:
        """The accuracy of the pre-trained network, in percent."""
        return round(100 * self.standard.evaluator.baseline, 4)

    def reported(self, *path: str) -> float | None:
        """A number of answers.toml, as it stands there; None where there is none."""
        return self._written.number(*path)

    def required(self, *path: str) -> float:
        """A number of answers.toml, as it stands there.

        Raises:
            CheckFailed: there is none.
        """
        if (number := self.reported(*path)) is not None:
            return number
        if what := self._written.what_is_no_number(*path):
            raise CheckFailed(f"{field(*path)} in answers.toml is {what}, but must be a number of percent, 0 to 100")
        raise CheckFailed(f"{field(*path)} in answers.toml is empty: write the number that you measured, in percent")

    def one_shot_percentages(self) -> tuple[float, ...]:
        """The percentages whose accuracies 2(b) asks for: the term's, or those that the template has fields for.

        Where these are not the same, and the term's are not reported more completely, a student has filled in what
        was given.
        """
        asked, fields = self._term.one_shot_sparsities, self._template.tables.get("2b", {})
        offered = tuple(float(found[1]) for key in fields if (found := _ONE_SHOT.fullmatch(key)))
        if not offered or set(asked) <= set(offered):
            return asked
        return max(offered, asked, key=self._reported_of)

    def _reported_of(self, percentages: tuple[float, ...]) -> int:
        return sum(self.reported(*one_shot_field(percent)) is not None for percent in percentages)

    def candidate_bits(self, network: Network) -> tuple[int, ...]:
        """The numbers of bits that a quantized network may be meant for.

        Raises:
            CheckFailed: its name tells one that this term does not ask for.
        """
        asked = self._term.finetuned_bits
        if not _is_among(network, asked):
            raise CheckFailed(_other_bits(network, asked))
        return asked if network.bits is None else (network.bits,)

    def measure(self, network: Network, bits: int | None = None, reported: float | None = None) -> Measured:
        """The accuracy of a network that was handed in; at ``bits``, if given, by the judge's own quantization."""
        state = network.state if bits is None else measures.quantized(network.state, bits)
        found = self.measure_state(network.part, network.file, state, bits, reported)
        row = self._rows[network.part, network.file, bits]
        self._rows[network.part, network.file, bits] = row.model_copy(
            update={
                "sparsity": measures.sparsity(network.state),
                "similarity": self.similarity(network),
                "digest": measures.digest_of(network.state),
                "untrained": measures.is_untrained(network.state, self.standard.pretrained),
                "sparsity_by_layer": measures.sparsity_by_layer(network.state),
                "levels_by_layer": measures.levels_by_layer(state) if bits else {},
            }
        )
        return found

    def measure_state(
        self, part: str, name: str, state: Arrays, bits: int | None = None, reported: float | None = None
    ) -> Measured:
        """The accuracy of any network of this size, noted for the report as ``name``."""
        accuracy = round(100 * self.standard.evaluator.accuracy(state), 4)
        found = Measured(accuracy, round(self.baseline - accuracy, 4))
        before = self._rows.get((part, name, bits))
        known = before.reported if before is not None and reported is None else reported
        self._rows[part, name, bits] = Measurement(
            part=part,
            network=name,
            bits=bits,
            accuracy=accuracy,
            drop=found.drop,
            reported=None if known is None else in_percent(known, accuracy),
        )
        return found

    def similarity(self, network: Network) -> float:
        """The cosine between its weights and the pre-trained ones, where they are not zero."""
        return measures.similarity(network.state, self.standard.pretrained, network.state)

    def measurements(self, parts: list[str]) -> tuple[Measurement, ...]:
        """Everything that was measured; what no check asked for is measured now."""
        for network in [network for part in parts for network in self.usable(part)]:
            self._complete(network)
        return tuple(self._rows[key] for key in sorted(self._rows, key=lambda key: (key[0], key[1], -(key[2] or 0))))

    def _complete(self, network: Network) -> None:
        try:
            for bits in self.candidate_bits(network) if network.part.startswith("3") else (None,):
                if (network.part, network.file, bits) not in self._rows:
                    self.measure(network, bits)
        except (CheckFailed, InternalError):  # a check has said so, or nothing depends on it
            return
