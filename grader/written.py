"""answers.toml: the verdicts, the reported numbers and the texts that a person grades."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from grader.assignment import Assignment
from grader.report import ManualItem

__all__ = ["FILE", "Written", "manual_items", "read_written"]

FILE = "answers.toml"
_HEADER = re.compile(r"""(?m)^(?=[ \t]*\[(?!\d+\])[\w."'-]{2,}\][ \t]*(?:#.*)?$)""")  # no reference [1] in a text
_MOST, _TABLES, _KEYS = 256 << 10, 100, 50
"""The most bytes, broken tables and parts of one key that are read: tomllib takes the square of their number."""
_LONG_KEY = re.compile(rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{_KEYS},}}""")
_PYTHON_VERDICT = re.compile(r"(?m)^([ \t]*verdict[ \t]*=[ \t]*)(True|False)(?=[ \t]*(?:#.*)?$)")
_TEXT_FIELDS = ("explanation", "answer")
_PLACEHOLDERS = frozenset({"", "...", "…", "-", "?", "todo", "tbd", "n/a", "none", "your answer", "your answer here"})


@dataclass(frozen=True)
class Written:
    """The tables of answers.toml by part, or the sentence that says why none can be read.

    Attributes:
        tables: what could be read.
        problem: why nothing could.
        unread: by part, the text of the tables that are not valid TOML, for a person to read.
        faults: the sentence that says why, for each of them.
    """

    tables: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    unread: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def complaints(self) -> list[str]:
        """What a student should know at once, since verdicts and texts are graded elsewhere: sentences."""
        if self.problem is not None:
            return [f"{self.problem}: none of its answers count."]
        verdicts = {part: table["verdict"] for part, table in self.tables.items() if _has_verdict(table)}
        wrong = [
            part for part, verdict in verdicts.items() if str(verdict).strip().lower() not in ("", "true", "false")
        ]
        return [*self.faults, *(f'The verdict of {part} in {FILE} is neither "true" nor "false".' for part in wrong)]

    def text(self, part: str, key: str) -> str:
        """A field of a part's own table, stripped; empty if it is missing or a placeholder."""
        table = self.tables.get(part)
        return _meaningful(table.get(key)) if isinstance(table, dict) else ""

    def number(self, part: str, *path: str) -> float | None:
        """A reported number in percent; None if it is missing, a placeholder or no number.

        ``"91.5"`` and ``"91.5 %"`` are read as 91.5.
        """
        value: object = self.tables.get(part)
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        try:
            number = float(value.replace("%", "").replace(",", ".") if isinstance(value, str) else value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            return None
        if isinstance(value, bool) or not 0 <= number <= 100:
            return None
        return number


def _has_verdict(table: object) -> bool:
    return isinstance(table, dict) and isinstance(table.get("verdict"), (str, bool))


def _meaningful(value: object) -> str:
    text = value.strip() if isinstance(value, str) else repr(value) if isinstance(value, (float, bool)) else ""
    return "" if text.lower().strip(" .!") in _PLACEHOLDERS or not text.strip(" .-_?!") else text


def read_written(data: bytes | None) -> Written:
    """Parse the file of a submission; where it is no TOML as a whole, a broken table costs no other table."""
    if data is None:
        return Written(problem=f"{FILE} is not in the submission")
    if len(data) > _MOST:
        return Written(problem=f"{FILE} is larger than {_MOST >> 10} KiB: leave out what is no answer")
    try:
        text = data.decode("utf-8-sig")
        if _LONG_KEY.search(text):
            return Written(problem=f"{FILE} has a key of over {_KEYS} parts: write texts in quotation marks")
        return Written(tomllib.loads(text))
    except UnicodeDecodeError as error:
        return Written(problem=_not_toml(error))
    except (ValueError, RecursionError) as error:  # not TOML, or a number of thousands of digits
        found = _table_by_table(text)
        return found if found.tables else Written(problem=_not_toml(error))


def _not_toml(error: Exception, where: str = "") -> str:
    return f"{FILE} is not valid TOML{where}: {str(error)[:200]}"


def _table_by_table(text: str) -> Written:
    """What can be read of a text whose tables are parsed each for itself, as Python's spelling of a verdict is."""
    tables: dict[str, Any] = {}
    unread: dict[str, str] = {}
    faults: list[str] = []
    first, *pieces = _HEADER.split(text.replace("\r\n", "\n"), _TABLES)
    above = first.count("\n")
    for piece in pieces:
        header, lines_above = piece.partition("\n")[0].strip(), "\n" * above  # so that a message names the file's line
        above += piece.count("\n")
        try:
            path = tomllib.loads(header)
        except ValueError:
            continue
        try:
            _merge(tables, tomllib.loads(lines_above + _PYTHON_VERDICT.sub(lambda found: found[0].lower(), piece)))
        except (ValueError, RecursionError) as error:
            part = next(iter(path))
            unread[part] = f"{unread.get(part, '')}\n\n{piece}".strip()
            faults.append(
                f"{_not_toml(error, f' in {header}')}. A person can read its texts; nothing else of it counts."
            )
    return Written(tables, unread=unread, faults=tuple(faults))


def _merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    """Add nested tables.

    Raises:
        ValueError: a name stands twice; what stood first stays.
    """
    for name, value in table.items():
        if name not in into:
            into[name] = value
        elif isinstance(into[name], dict) and isinstance(value, dict):
            _merge(into[name], value)
        else:
            raise ValueError(f"{name} stands twice")


def _prompts(table: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The path below the part and the prompt of every question that is answered in words."""
    if "prompt" in table and any(name in table for name in _TEXT_FIELDS):
        yield (), str(table["prompt"])
    for name, value in table.items():
        if isinstance(value, dict):
            yield from (((name, *path), prompt) for path, prompt in _prompts(value))


def manual_items(assignment: Assignment, template: Written, written: Written) -> tuple[ManualItem, ...]:
    """What a person grades: one item per part with manual points, its prompts from the template.

    The prompts of the template count, so that a submission cannot change a question.
    """
    items = []
    for part in assignment.parts.values():
        questions = list(_prompts(template.tables.get(part.id, {})))
        if not part.manual or not questions:
            continue
        answers = [_answer(written.tables.get(part.id), path) for path, _ in questions]
        answers.append(written.unread.get(part.id, ""))
        items.append(
            ManualItem(
                part=part.id,
                prompt="\n".join(prompt for _, prompt in questions),
                text="\n\n".join(answer for answer in answers if answer),
                max_score=part.manual,
            )
        )
    return tuple(items)


def _answer(table: object, path: tuple[str, ...]) -> str:
    for name in path:
        table = table.get(name) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        return ""
    return next((text for name in _TEXT_FIELDS if (text := _meaningful(table.get(name)))), "")
