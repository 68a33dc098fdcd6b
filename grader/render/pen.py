"""Writing on one console: cleaned text, in the characters that it can show."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grader.render.view import clean

__all__ = ["BAR_WIDTH", "Pen"]

BAR_WIDTH = 8
"""Characters."""

_ASCII = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "·": "-", "×": "x"}
    | {"≤": "<=", "≥": ">=", "≠": "!=", "→": "->", "λ": "lambda", "✓": "+", "✗": "x", "━": "=", "┄": "."}
)


class Pen:
    """Writes cleaned text, never markup, in the characters that one console can show."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._encoding = console.encoding
        self._ascii = console.options.ascii_only or (console.legacy_windows and console.safe_box)
        self.width = console.width

    def text(self, text: str, style: str = "") -> Text:
        """Cleaned text, which will be folded where it is too long for its line."""
        text = clean(text)
        if self._ascii:
            text = text.translate(_ASCII).encode(self._encoding, "replace").decode(self._encoding)
        return Text(text, style=style, overflow="fold")

    def shortened(self, text: str, room: int, style: str = "") -> Text:
        """The text on one line, with an ellipsis for what does not fit into ``room`` cells."""
        shown, ellipsis = self.text(" ".join(clean(text).split()), style), self.text("…", style)
        if shown.cell_len > room:
            shown.truncate(room - len(ellipsis), overflow="crop")
            shown += ellipsis
        return shown

    def bar(self, score: float, possible: float, width: int = BAR_WIDTH) -> Text:
        """A bar of ``width`` characters, filled in the proportion of the score."""
        filled = round(width * min(max(score / possible, 0.0), 1.0)) if possible > 0 else 0
        style = "green" if score >= possible else "yellow" if score > 0 else "red"
        return self.text("━" * filled, style) + self.text("┄" * (width - filled), "dim")

    def print(self, *parts: Text, indent: int = 0) -> None:
        """Print texts one after the other, all their lines indented."""
        self._console.print(Padding(Text("", overflow="fold").join(parts), (0, 0, 0, indent), expand=False))

    def line(self, text: str, style: str = "", indent: int = 0) -> None:
        """Print a text with its `quoted` names in bold."""
        shown = self.text(text, style)
        shown.highlight_regex(r"`[^`\n]+`", "bold")
        self.print(shown, indent=indent)

    def heading(self, text: str, style: str = "bold") -> None:
        """Print a text after an empty line."""
        self._console.print()
        self.line(text, style)

    def table(self, table: Table) -> None:
        """Print a table whose texts this pen made."""
        self._console.print(table)
