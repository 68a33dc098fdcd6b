"""What shows things in a notebook, in place of IPython: trainings clear their output, and nobody sees it here.

It stands in for an installed IPython too, whose import takes longer than most checks.
"""

from __future__ import annotations

import builtins
import sys
from types import ModuleType
from typing import Any

__all__ = ["hide_displays"]

_SHOWN = ("HTML", "Image", "Latex", "Markdown", "SVG", "clear_output", "display")
"""What a star import gives."""


class _Silent(ModuleType):
    """A module in which every name is a function that does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _nothing


def _nothing(*_: object, **__: object) -> None:
    """Stands for whatever shows something."""


def hide_displays() -> None:
    """Every way of importing ``display`` gives a function that does nothing; in a notebook it is there without."""
    package, display = _Silent("IPython"), _Silent("IPython.display")
    package.__path__ = []
    vars(display).update(dict.fromkeys(_SHOWN, _nothing))
    vars(package)["display"] = display
    sys.modules.update({package.__name__: package, display.__name__: display})
    builtins.display = _nothing  # type: ignore[attr-defined]
