"""A progress bar for what takes minutes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["with_progress"]

_Item = TypeVar("_Item")


def with_progress(items: Iterable[_Item], total: int, title: str, console: Console | None) -> Iterator[_Item]:
    """Pass ``items`` on, with a bar on ``console`` that is gone in the end; no console, no bar."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=console is None) as progress:
        task = progress.add_task("", total=total)
        for item in items:
            progress.advance(task)
            yield item
