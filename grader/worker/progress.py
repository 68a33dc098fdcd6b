"""A progress bar that shows nothing, in place of tqdm: students import it everywhere, and nobody sees a bar here.

It stands in for an installed tqdm too: that one needs a notebook's widgets for some of its names, and writes to
standard error as it goes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, Self

__all__ = ["Bar", "hide_progress_bars"]


class Bar:
    """Iterates as ``tqdm`` does; everything that would change the bar does nothing."""

    def __init__(self, iterable: Iterable[Any] | None = None, *_: object, total: float | None = None, **__: object):
        self.iterable = iterable
        self.total = total if total is not None else getattr(iterable, "__len__", lambda: None)()
        self.n: float = 0

    def __iter__(self) -> Iterator[Any]:
        for item in self.iterable or ():
            yield item
            self.n += 1

    def __len__(self) -> int:
        return int(self.total or 0)

    def __bool__(self) -> bool:
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: float = 1) -> None:
        """Count further."""
        self.n += n

    @classmethod
    def write(cls, *_: object, **__: object) -> None:
        """What would be printed above the bar."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


def _range(*args: int, **_: object) -> Bar:
    return Bar(range(*args))


def hide_progress_bars() -> None:
    """Every way of importing tqdm gives a ``Bar``."""
    package = ModuleType("tqdm")
    package.__path__ = []
    for name in ("", "auto", "autonotebook", "notebook", "std"):
        module = ModuleType(f"tqdm.{name}") if name else package
        vars(module).update(tqdm=Bar, trange=_range, tqdm_notebook=Bar, tnrange=_range)
        sys.modules[module.__name__] = module
        if name:
            setattr(package, name, module)
