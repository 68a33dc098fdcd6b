"""Zip archives whose bytes depend on nothing but what is in them."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

__all__ = ["write_archive"]

_EPOCH = (2026, 1, 1, 0, 0, 0)
_UNIX = 3


def write_archive(path: Path, files: Mapping[str, bytes], executable: Collection[str] = ()) -> Path:
    """Write files, by their names in the archive; those of ``executable`` can be run once it is unpacked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = _UNIX
            entry.external_attr = (0o100755 if name in executable else 0o100644) << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return path
