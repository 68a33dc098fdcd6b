"""Names the mistake behind a failed check: the student's outputs compared with those of known mistakes."""
