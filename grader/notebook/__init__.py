"""What a notebook or script gives to a submission, found in its syntax trees: nothing in it is ever run.

``cells`` and ``scripts`` read the code cells, ``selecting`` chooses the statements to keep, ``extracting`` joins the
two; ``filling`` puts what was found into the files that lack it. ``expressions`` and ``classes`` say which values
may be computed, ``importing`` which files can be imported as they are. ``syntax`` and ``text`` hold what the others
share.
"""

from __future__ import annotations

from grader.notebook import extracting, filling, importing, scripts, text

__all__ = [
    "Extraction",
    "absolute",
    "extract",
    "fill",
    "guarded",
    "imported_modules",
    "in_utf8",
    "is_present",
    "listed",
    "obstacle",
    "printable",
    "readable",
    "same_text",
    "unfinished",
    "with_packages",
]

Extraction = extracting.Extraction
extract = extracting.extract
fill = filling.fill
absolute = importing.absolute
guarded = importing.guarded
imported_modules = importing.imported_modules
in_utf8 = scripts.in_utf8
is_present = importing.is_present
listed = text.listed
printable = text.printable
obstacle = importing.obstacle
readable = importing.readable
same_text = text.same_text
unfinished = filling.unfinished
with_packages = importing.with_packages
