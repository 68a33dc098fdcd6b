"""What runs inside a worker: each probe exercises one function of the student and returns facts and plain arrays.

A probe is ``probe(student, params, arrays) -> (facts, arrays)``; it judges nothing.
"""
