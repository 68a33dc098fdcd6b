"""What the catalogue's misconceptions answer: goldens for the public cases, live answers for the hidden ones."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from grader import locations
from grader.assignment import Assignment
from grader.cases import CaseSet
from grader.catalogue import ANSWERS, Entry, Kind, all_entries, entry, with_entries
from grader.catalogue.pairs import COMMON_PAIRS
from grader.diagnosis.hypotheses import Hypotheses, Hypothesis, Mistake, Sketches, differs, footprint
from grader.diagnosis.sketch import ABSENT, Sketch, sketch_answer
from grader.errors import CheckFailed
from grader.interview import Interview, InterviewFactory
from grader.memory import Memory
from grader.session import Answer, answer_case, verdict_answer
from grader.submission import EDITABLE, Submission, stage
from grader.written import FILE, read_written

__all__ = ["LiveMistakes", "difference", "mistake_of", "public_hypotheses"]

_OTHER_PROCESSOR = 1000
"""Times the rounding of one processor: what the goldens of another one may differ by."""

_PROBED_BY = {
    "lab1_sparse_optimization": "lab1/{}",
    "lab2_pruning.evaluate": "lab2/evaluate",
    "lab2_pruning.prune_by_percentage": "lab2/prune_layer",
    "lab2_pruning.sparsity_by_layer": "lab2/sparsity",
    "lab2_pruning.finetune_after_prune": "lab2/finetune",
    "lab2_pruning.pruning_percentage": "lab2/ramp",
    "lab2_pruning.iterative_prune": "lab2/iterative",
    "lab2_pruning.global_prune_by_percentage": "lab2/global_prune",
    "FP_layers.STE.forward": "lab3/ste",
    "FP_layers.STE.backward": "lab3/ste",
    "FP_layers.FP_Conv.forward": "lab3/layer/conv",
    "FP_layers.FP_Linear.forward": "lab3/layer/linear",
    "lab3_quantization.accuracy_by_bits": "lab3/accuracy_by_bits/stand_in",
    "lab3_quantization.finetune_quantized": "lab3/finetune_quantized/stand_in",
    "answers": "answers/{}",
}
"""By function, or module, the beginning of the ids of the cases that ask it and nothing that builds on it."""


def mistake_of(item: Entry) -> Mistake:
    """What a student is told about an entry."""
    probed = []
    for name in sorted(item.replaces):
        pattern = _PROBED_BY.get(name) or _PROBED_BY.get(item.module)
        if pattern is not None:
            probed.append(pattern.format(name.partition(".")[2]))
    return Mistake(item.id, item.title, item.explanation, item.hint, tuple(probed))


class LiveMistakes:
    """Asks the reference with mistakes in it.

    Args:
        assignment: the rubric.
        cases: the questions.
        interview: makes the interviews.
    """

    def __init__(self, assignment: Assignment, cases: CaseSet, interview: InterviewFactory) -> None:
        self._assignment = assignment
        self._cases = cases
        self._interview = interview
        self._reference = {name: (locations.instructor_folder("reference") / name).read_bytes() for name in EDITABLE}
        self._misconceptions = [item for item in all_entries() if item.kind is Kind.MISCONCEPTION]
        self._known: dict[str, dict[str, Mapping[str, Sketch]]] = {}

    def sketches(self, mistakes: Sequence[Entry], case_ids: Iterable[str]) -> Sketches:
        """What the reference answers with these mistakes in it, to cases of the labs and to verdicts."""
        known = self._known.setdefault(" ".join(item.id for item in mistakes), {})
        asked = list(case_ids)
        if new := [case_id for case_id in asked if case_id not in known]:
            known.update(self._asked(mistakes, new))
        return {case_id: known[case_id] for case_id in asked}

    def _asked(self, mistakes: Sequence[Entry], case_ids: Iterable[str]) -> Sketches:
        files = with_entries(self._reference, mistakes)
        submission = Submission("a known mistake", files, ())
        with tempfile.TemporaryDirectory(prefix="grader-") as scratch:
            folder = Path(scratch).resolve()
            stage(submission, locations.pristine(), folder)
            with self._interview(folder, self._assignment.limits) as interview:
                return {case_id: dict(sketch_answer(self._answer(case_id, files, interview))) for case_id in case_ids}

    def _answer(self, case_id: str, files: Mapping[str, bytes], interview: Interview) -> Answer | CheckFailed:
        if case_id.startswith(f"{ANSWERS}/"):
            return verdict_answer(case_id.partition("/")[2], read_written(files[FILE]))
        case = self._cases.cases[case_id]
        try:
            return answer_case(interview, case, self._cases.inputs(case))
        except CheckFailed as failure:
            return failure

    def failing(self, check: str, case_ids: Iterable[str], possible: Callable[[str], bool]) -> Hypotheses:
        """What those misconceptions that fail ``check``, and whose id is ``possible``, answer to these cases."""
        asked = list(case_ids)
        right = self.sketches([], asked)
        found = [item for item in self._misconceptions if check in item.fails | item.may_fail and possible(item.id)]
        alternatives = [
            Hypothesis((mistake_of(item),), footprint(right, self.sketches([item], asked))) for item in found
        ]
        return Hypotheses(right, tuple(alternatives))


def _shows(hypothesis: Hypothesis, right: Sketches) -> bool:
    """Whether it differs clearly from what is right in some case."""
    return any(
        differs(sketch, right[case_id].get(group, ABSENT), case_id)
        for case_id, groups in hypothesis.footprint.items()
        for group, sketch in groups.items()
    )


def public_hypotheses(assignment: Assignment, cases: CaseSet) -> Hypotheses:
    """Every misconception and common pair that shows on the public cases."""
    live = LiveMistakes(assignment, cases, Memory().interview)
    asked = [case_id for case_id, case in cases.cases.items() if case.probe]
    right = live.sketches([], asked)
    single = [[item] for item in all_entries() if item.kind is Kind.MISCONCEPTION and item.module != ANSWERS]
    pairs = [[entry(first), entry(second)] for first, second in COMMON_PAIRS]
    alternatives = []
    for mistakes in (*single, *pairs):
        hypothesis = Hypothesis(
            tuple(mistake_of(item) for item in mistakes), footprint(right, live.sketches(mistakes, asked))
        )
        if _shows(hypothesis, right):
            alternatives.append(hypothesis)
    return Hypotheses(right, tuple(alternatives))


def difference(old: Hypotheses, new: Hypotheses) -> str | None:
    """What of the committed hypotheses is not what the catalogue gives now; None if only rounding differs."""
    known, fresh = ({h.ids: h for h in hypotheses.alternatives} for hypotheses in (old, new))
    if known.keys() != fresh.keys():
        return f"{' + '.join(sorted(known.keys() ^ fresh.keys())[0])} is not in both"
    for ids, hypothesis in fresh.items():
        if known[ids].mistakes != hypothesis.mistakes:
            return f"the words of {' + '.join(ids)} have changed"
        if case_id := _changed_case(old.right, known[ids].footprint, new.right, hypothesis.footprint):
            return f"the answer of {' + '.join(ids)} to {case_id} has changed"
    return None


def _changed_case(old_right: Sketches, old: Sketches, new_right: Sketches, new: Sketches) -> str | None:
    """The first case to which another answer is given now."""
    for case_id, groups in new_right.items():
        was = {**old_right.get(case_id, {}), **old.get(case_id, {})}
        now = {**groups, **new.get(case_id, {})}
        for group in was.keys() | now.keys():
            before, after = was.get(group, ABSENT), now.get(group, ABSENT)
            same_words = before.words == after.words
            if not same_words or differs(replace(after, counts=before.counts), before, case_id, _OTHER_PROCESSOR):
                return case_id
    return None
