"""``grader mistakes build|check``: docs/mistakes.md, the atlas of mistakes, by part, to teach from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from grader import locations
from grader.assignment import Assignment, Part
from grader.catalogue import ANSWERS, Entry, Kind
from grader.errors import StaleOutput
from grader.verify.subjects import checked_entries

__all__ = ["build", "check", "render"]

_INTRODUCTION = """\
# The atlas of mistakes

Generated from the catalogue by `grader mistakes build`; do not edit it here. Every mistake below is caught by
`grader verify`, costs exactly the checks that it lists, and is named in the feedback; every right version listed under
a part is accepted with full marks.
"""


def render(assignment: Assignment, entries: Sequence[Entry]) -> str:
    """The page, in Markdown."""
    part_of = {check: part for part in assignment.parts.values() for check in part.weights}
    homes = _homes(assignment, entries, part_of)
    wrong = [entry for entry in entries if entry.kind is Kind.MISCONCEPTION]
    right = [entry for entry in entries if entry.kind is Kind.EQUIVALENT]
    lines = [_INTRODUCTION, f"{len(wrong)} mistakes, {len(right)} right versions.", ""]
    for part in assignment.parts.values():
        mistakes = [entry for entry in wrong if homes[entry.id] == part.id]
        variants = [entry for entry in right if homes[entry.id] == part.id]
        if mistakes or variants:
            lines += [f"## {part.title}", "", *_mistakes(mistakes, assignment, part_of), *_variants(variants)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _homes(assignment: Assignment, entries: Sequence[Entry], part_of: Mapping[str, Part]) -> dict[str, str]:
    """The part under which an entry stands: the first that it costs something; for a right one, that of its function.

    A right version stands where the mistakes in the same function stand.
    """
    order = list(assignment.parts)
    homes: dict[str, str] = {}
    by_function: dict[str, str] = {}
    for entry in entries:
        if entry.kind is not Kind.MISCONCEPTION:
            continue
        homes[entry.id] = min((part_of[check].id for check in entry.fails), key=order.index)
        for function in sorted(entry.replaces):
            known = by_function.setdefault(function, homes[entry.id])
            by_function[function] = min(known, homes[entry.id], key=order.index)
    for entry in entries:
        if entry.kind is Kind.EQUIVALENT:
            known_parts = [by_function[name] for name in entry.replaces if name in by_function]
            homes[entry.id] = min(known_parts, key=order.index)
    return homes


def _mistakes(entries: Sequence[Entry], assignment: Assignment, part_of: Mapping[str, Part]) -> Iterator[str]:
    for entry in entries:
        yield f"### {entry.title}"
        yield ""
        yield f"{entry.explanation} *Hint for the student:* {entry.hint}"
        yield ""
        if entry.module != ANSWERS:
            function = entry.target if "." in entry.target else ", ".join(sorted(entry.replaces))
            yield f"In `{function}`:"
            yield ""
            yield "```python"
            yield _shown(entry)
            yield "```"
            yield ""
        yield f"Costs {_cost(entry, assignment, part_of)}. `{entry.id}`"
        yield ""


def _shown(entry: Entry) -> str:
    """The code, without the line that puts a method into its class."""
    return re.sub(r"\n\n\n\w+\.\w+ = (staticmethod\()?_\w+\)?$", "", entry.code.strip("\n"))


def _cost(entry: Entry, assignment: Assignment, part_of: Mapping[str, Part]) -> str:
    """Points by part."""
    lost: dict[str, float] = {}
    for check in entry.fails:
        part = part_of[check]
        share = part.automatic * part.weights[check] / sum(part.weights.values())
        lost[part.id] = lost.get(part.id, 0.0) + share
    told = [f"{lost[part]:.2g} of {assignment.parts[part].automatic:g} points of {part}" for part in assignment.parts
            if lost.get(part)]  # fmt: skip
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told) or "no points, but is reported"


def _variants(entries: Sequence[Entry]) -> Iterator[str]:
    if entries:
        yield "**Right as well**"
        yield ""
        yield from (f"- `{entry.target}`: {entry.explanation}" for entry in entries)
        yield ""


def build(assignment: Assignment) -> str:
    """Write the page; a sentence for the person who asked."""
    path = locations.instructor_folder("docs") / "mistakes.md"
    path.write_text(render(assignment, checked_entries(assignment)), encoding="utf-8", newline="\n")
    return f"wrote {path}"


def check(assignment: Assignment) -> str:
    """Compare the page with what the catalogue gives now.

    Raises:
        StaleOutput: it differs.
    """
    path = locations.instructor_folder("docs") / "mistakes.md"
    if not path.is_file() or path.read_text(encoding="utf-8") != render(assignment, checked_entries(assignment)):
        raise StaleOutput(f"{path} is not what the catalogue gives: run `grader mistakes build`")
    return f"{path} is up to date"
