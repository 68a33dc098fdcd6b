"""``grader verify``: proves that no right answer is refused and no wrong one passes.

``subjects`` are what is graded, ``running`` grades them, ``judging`` says which cell is not as it should be,
``matrix`` shows it all; ``mutants`` makes further mistakes by machine.
"""
