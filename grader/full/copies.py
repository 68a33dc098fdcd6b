"""Networks that several submissions of a class handed in alike."""

from __future__ import annotations

from collections.abc import Iterable

from grader.report import Report

__all__ = ["shared_networks"]


def shared_networks(reports: Iterable[Report]) -> list[tuple[str, ...]]:
    """Groups of submissions with an equal network among those that they handed in, as ``name: part``.

    Equal means equal weights, whatever the file is called and however it was saved.
    """
    found: dict[str, dict[str, str]] = {}
    for report in reports:
        for row in report.measurements:
            if row.digest:
                found.setdefault(row.digest, {}).setdefault(report.submission, row.part)
    groups = [tuple(f"{name}: {part}" for name, part in sorted(of.items())) for of in found.values() if len(of) > 1]
    return sorted(groups)
