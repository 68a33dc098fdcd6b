"""Names as a phrase for people, and texts compared as people would."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["listed", "printable", "same_text"]


def printable(name: str) -> str:
    """A name without characters that disturb a terminal, or that no UTF-8 can say."""
    return "".join(c if c.isprintable() else "?" for c in name)


def listed(names: Iterable[str], limit: int = 5, width: int = 80) -> str:
    """Some names as a phrase: at most ``limit`` of ``width`` characters that disturb no terminal."""
    safe = [printable(name[:width]) for name in names]
    if len(safe) > limit:
        return f"{', '.join(safe[:limit])} and {len(safe) - limit} more"
    return " and ".join(filter(None, [", ".join(safe[:-1]), *safe[-1:]]))


def same_text(a: bytes, b: bytes) -> bool:
    """Whether two files differ at most in their line endings and in white space at the end."""
    return a.replace(b"\r\n", b"\n").rstrip() == b.replace(b"\r\n", b"\n").rstrip()
