"""Which known mistake explains what a failed check saw, and nothing that was seen speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from grader.diagnosis.hypotheses import Hypotheses, Hypothesis, Sketches, differs, tolerance_of
from grader.diagnosis.sketch import ABSENT, FACT, FAILURE, Sketch, agree, group_of, sketch_answer
from grader.session import Seen, Session

__all__ = ["Diagnosis", "HiddenHypotheses", "diagnose"]

HiddenHypotheses = Callable[[str, Iterable[str], Callable[[str], bool]], Hypotheses]
"""Given a check, the ids of hidden cases, and which mistakes are possible, what those that fail the check answer."""

_Seen = Mapping[tuple[bool, str], Seen]


class Diagnosis:
    """Compares the answers of one submission with hypotheses.

    Args:
        session: after its checks have run.
        public: the hypotheses on the public cases.
        hidden: makes those on hidden cases; None outside the instructor's checkout.
    """

    def __init__(self, session: Session, public: Hypotheses, hidden: HiddenHypotheses | None = None) -> None:
        self._session = session
        self._public = public
        self._hidden = hidden

    @cached_property
    def _answers(self) -> Sketches:
        return {case: sketch_answer(answer) for case, answer in self._session.answers().items()}

    @cached_property
    def _hidden_answers(self) -> Sketches:
        return {case: sketch_answer(answer) for case, answer in self._session.answers(hidden=True).items()}

    @cached_property
    def _possible(self) -> tuple[Hypothesis, ...]:
        """The hypotheses that no answer to a case of their own functions contradicts."""
        return tuple(h for h in self._public.alternatives if self._is_possible(h))

    def _is_possible(self, hypothesis: Hypothesis, *, everywhere: bool = False) -> bool:
        return all(
            _matches(self._answers[case_id], groups, case_id)
            for case_id, groups in hypothesis.footprint.items()
            if case_id in self._answers and (everywhere or hypothesis.probes(case_id))
        )

    def explain(self, check: str) -> Hypothesis | None:
        """The one hypothesis that explains what ``check`` saw; None if there is none, or more than one."""
        seen = self._session.seen.get(check, {})
        if not seen:
            return None
        hidden = [case_id for is_hidden, case_id in seen if is_hidden]
        if hidden:
            return self._explain_hidden(check, seen, hidden)
        fitting = [h for h in self._possible if self._fits(h, self._public.right, seen, self._answers)]
        found = self._simplest(fitting)
        return found if found and not self._is_outdone(found, seen) else None

    def _is_outdone(self, found: Hypothesis, seen: _Seen) -> bool:
        """Whether another mistake explains this check too and more of what is wrong, though something contradicts it.

        Then what was seen is neither of the two.
        """
        others = (h for h in self._public.alternatives if len(h.mistakes) <= len(found.mistakes) and h is not found)
        mine = self._explained(found)
        return any(self._explained(h) > mine for h in others if self._fits(h, self._public.right, seen, self._answers))

    def _explain_hidden(self, check: str, seen: _Seen, cases: list[str]) -> Hypothesis | None:
        if self._hidden is None:
            return None
        known = {h.ids: h for h in self._public.alternatives}
        contradicted = known.keys() - {h.ids for h in self._possible}
        found = self._hidden(check, cases, lambda mistake: (mistake,) not in contradicted)
        fitting = [h for h in found.alternatives if self._fits(h, found.right, seen, self._hidden_answers)]
        return self._simplest([known.get(h.ids, h) for h in fitting])

    def _fits(self, hypothesis: Hypothesis, right: Sketches, seen: _Seen, answers: Sketches) -> bool:
        """Whether everything that was seen is what the hypothesis says, and something of it is not what is right."""
        explained = False
        for (_, case_id), looked_at in seen.items():
            differing = hypothesis.footprint.get(case_id, {})
            known, answer = right.get(case_id, {}), answers.get(case_id, {})
            expected = {**known, **differing}
            for group in _groups(looked_at, expected.keys() | answer.keys()):
                shown = expected.get(group, ABSENT)
                if not agree(answer.get(group, ABSENT), shown, tolerance_of(case_id)):
                    return False
                explained = explained or differs(shown, known.get(group, ABSENT), case_id)
        return explained

    def _simplest(self, fitting: list[Hypothesis]) -> Hypothesis | None:
        """One mistake before two; of several, the one that accounts for all that the others do, and for more.

        If two account for the same, the one that nothing speaks against anywhere, not even what builds on it.
        """
        for count in (1, 2):
            equal = [h for h in fitting if len(h.mistakes) == count]
            best = [h for h in equal if all(self._explained(h) >= self._explained(other) for other in equal)]
            if len(best) > 1:
                best = [h for h in best if self._is_possible(h, everywhere=True)]
            if equal:
                return best[0] if len(best) == 1 else None
        return None

    def _explained(self, hypothesis: Hypothesis) -> frozenset[tuple[str, str]]:
        """The groups that come out as a hypothesis says and clearly not as is right, over all cases."""
        right = self._public.right
        return frozenset(
            (case_id, group)
            for case_id, groups in hypothesis.footprint.items()
            for group, sketch in groups.items()
            if case_id in self._answers
            and agree(self._answers[case_id].get(group, ABSENT), sketch, tolerance_of(case_id))
            and differs(sketch, right[case_id].get(group, ABSENT), case_id)
        )


def _groups(looked_at: Seen, existing: Iterable[str]) -> set[str]:
    """The groups that a check looked at; of a case without an answer it saw the failure."""
    if FAILURE in existing:
        return {FAILURE}
    groups = {group_of(name) for name in looked_at.arrays} | {f"{FACT}{name}" for name in looked_at.facts}
    if "*" in looked_at.arrays:
        groups |= {group for group in existing if not group.startswith(FACT)}
    if f"{FACT}*" in groups:
        groups |= {group for group in existing if group.startswith(FACT)}
    return groups - {"*", f"{FACT}*"}


def _matches(answer: Mapping[str, Sketch], expected: Mapping[str, Sketch], case_id: str) -> bool:
    return all(agree(answer.get(group, ABSENT), sketch, tolerance_of(case_id)) for group, sketch in expected.items())


def diagnose(diagnosis: Diagnosis, failed: Iterable[str]) -> dict[str, Hypothesis]:
    """The explanation of each failed check that has one."""
    explained = {check: diagnosis.explain(check) for check in failed}
    return {check: hypothesis for check, hypothesis in explained.items() if hypothesis is not None}
