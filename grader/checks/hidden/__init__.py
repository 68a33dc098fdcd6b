"""Checks on hidden cases: other seeds, other shapes, edge cases. Students see their titles only."""
