"""What a notebook gives to a submission, found in its syntax trees: no cell is ever run.

``cells`` reads the code cells, ``selecting`` chooses the statements to keep, ``extracting`` joins the two;
``filling`` puts what was found into the files that lack it. ``expressions`` says which values may be
computed. ``syntax`` and ``text`` hold what the others share.
"""

from __future__ import annotations

from grader.notebook import extracting, filling, text

__all__ = ["Extraction", "extract", "fill", "listed", "same_text", "unfinished"]

Extraction = extracting.Extraction
extract = extracting.extract
fill = filling.fill
listed = text.listed
same_text = text.same_text
unfinished = filling.unfinished
