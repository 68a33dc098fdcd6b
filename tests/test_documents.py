"""What the documents say can be followed: links lead somewhere, commands are understood, the cheap ones run."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.main import get_command

from grader.cli import app
from tests.conftest import ROOT
from tests.documents import Command, Document, commands_in, documents, make_targets

DOCUMENTS = {document.name: document for document in documents()}
COMMANDS = [(document.name, command) for document in DOCUMENTS.values() for command in document.commands()]
PLACEHOLDER = re.compile(r"^[A-Z][A-Z_]*$")  # SUBMISSION, FILE, DIR, N

# Lines that are known not to be commands as they stand, with what is to be done about them.
BROKEN: dict[str, str] = {}


def all_commands(program: str) -> list[Any]:
    """Every command of a program in any document, as parameters of a test."""
    found = []
    for name, command in COMMANDS:
        if command.words[0] == program:
            known = [pytest.mark.xfail(strict=True, reason=BROKEN[command.shown])] if command.shown in BROKEN else []
            found.append(pytest.param(command, id=f"{name}-{' '.join(command.words)}", marks=known))
    return found


# --- Links


def dead_links(document: Document) -> list[str]:
    """The links that lead nowhere; of other sites only the form is looked at."""
    return [link for link in document.links() if not _leads_somewhere(document, link)]


def _leads_somewhere(document: Document, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme:
        is_site = parts.scheme in ("http", "https") and re.fullmatch(r"[\w-]+(\.[\w-]+)+(:\d+)?", parts.netloc)
        return bool(is_site or (parts.scheme == "mailto" and "@" in parts.path))
    target = document.folder / parts.path
    if not parts.path:
        anchors = document.anchors()
    elif not target.exists() or not target.resolve().is_relative_to(ROOT):
        return False
    elif target.suffix == ".md":
        anchors = Document(target.name, target.read_text(encoding="utf-8"), target.parent).anchors()
    else:
        anchors = set()
    return not parts.fragment or parts.fragment in anchors


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    assert dead_links(DOCUMENTS[name]) == []


@pytest.mark.parametrize(
    ("link", "dead"),
    [
        ("[x](README.md)", False),
        ("[x](README.md#for-a-student)", False),
        ("![x](docs/report.png)", False),
        ("[x](#add-a-check-in-ten-lines)", False),
        ("[x](https://example.org/page)", False),
        ("[x][1]\n\n[1]: nowhere.md", True),
        ("[x](nowhere.md)", True),
        ("![x](docs/nowhere.png)", True),
        ("[x](README.md#nowhere)", True),
        ("[x](#nowhere)", True),
        ("[x](../outside.md)", True),
        ("[x](https://example)", True),
        ("[x](ftp:example.org)", True),
    ],
)
def test_a_link_that_leads_nowhere_is_noticed(link: str, dead: bool) -> None:
    document = Document("x.md", f"## Add a *check*, in ten lines\n\n{link}\n".replace("*", ""), ROOT)
    assert (len(dead_links(document)) == 1) is dead


# --- Commands


def complaint(command: Command) -> str:
    """What the command line says against a command, or nothing; the command itself is not run."""
    parser: Any = get_command(app)
    _do_nothing(parser)
    words = ["1" if PLACEHOLDER.match(word) else word for word in command.words[1:]]
    try:
        parser.main(args=words, prog_name="grader", standalone_mode=False)
    except Exception as error:
        text = error.format_message() if hasattr(error, "format_message") else str(error)
        is_unfinished = re.match(r"Missing |.*requires an argument", text) or "NoArgs" in type(error).__name__
        return "" if command.mentioned and is_unfinished else text or type(error).__name__
    return ""


def _do_nothing(parser: Any) -> None:
    """Take from every command what it does; what it understands stays."""
    for command in getattr(parser, "commands", {}).values():
        _do_nothing(command)
    if not getattr(parser, "commands", {}):
        parser.callback = lambda **_: None


@pytest.mark.parametrize("command", all_commands("grader"))
def test_commands_are_understood(command: Command) -> None:
    assert complaint(command) == ""


@pytest.mark.parametrize("command", all_commands("make"))
def test_targets_are_in_the_makefile(command: Command) -> None:
    targets = [word for word in command.words[1:] if "=" not in word and not word.startswith("-")]
    assert set(targets) <= make_targets()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "kit_readme.md"])
def test_documents_show_commands(document: str) -> None:
    """What is not found is not tested."""
    assert sum(name == document for name, _ in COMMANDS) >= 3


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("grader check --part 3a          one part", [("grader", "check", "--part", "3a")]),
        ("$ .venv/bin/grader check X  # remark", [("grader", "check", "X")]),
        (".venv/bin/grader check # remark", [("grader", "check")]),
        ("grader check X [--json FILE]", [("grader", "check", "X", "--json", "FILE")]),
        ("grader kit build && make test", [("grader", "kit", "build"), ("make", "test")]),
        ("grader template build|check", [("grader", "template", "build"), ("grader", "template", "check")]),
        ("CI=true make \\\n  demo", [("make", "demo")]),
        ("grader check 'my work'", [("grader", "check", "my work")]),
        ("python -m venv .venv", []),
        ("cli -> grade -> run_checks", []),
        ("graders check", []),
    ],
)
def test_what_is_read_as_a_command(line: str, words: list[tuple[str, ...]]) -> None:
    assert [command.words for command in commands_in(line)] == words


@pytest.mark.parametrize("line", ["grader template", "grader check --html", "grader", "grader --version"])
def test_a_mention_may_leave_out_arguments(line: str) -> None:
    (command,) = commands_in(line)
    assert complaint(dataclasses.replace(command, mentioned=True)) == ""


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("grader chek", "chek"),
        ("grader template biuld", "biuld"),
        ("grader check --jsn FILE", "--jsn"),
        ("grader check --min-score many", "--min-score"),
        ("grader check here there", "there"),
        ("grader check --html", "--html"),
    ],
)
def test_a_command_that_is_not_understood_is_noticed(line: str, says: str) -> None:
    (command,) = commands_in(line)
    assert says in complaint(command)


# --- What takes seconds and writes nothing but reports is run


def is_cheap(command: Command) -> bool:
    """Whether it only reads, comes to an end by itself, and is complete."""
    kept = command.words[1:3] == ("template", "check") or command.words[1:2] == ("check",)
    waits = {"--watch", "--assignment"} & set(command.words)  # another term's answers are made first, and kept
    return kept and not waits and not command.mentioned and not any(PLACEHOLDER.match(word) for word in command.words)


CHEAP = sorted({c.words for _, c in COMMANDS if c.words[0] == "grader" and c.shown not in BROKEN and is_cheap(c)})


@pytest.mark.parametrize("words", CHEAP, ids=" ".join)
def test_cheap_commands_run(words: tuple[str, ...], tmp_path: Path) -> None:
    """Beside a student's files, as a student would; the folders of the checkout are found from there."""
    folder = shutil.copytree(ROOT / "student_template", tmp_path / "hw4")
    arguments = [str(ROOT / word) if (ROOT / word).is_dir() else word for word in words[1:]]
    code = "from grader.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_some_commands_are_cheap() -> None:
    assert {("grader", "check"), ("grader", "check", "--part", "3a"), ("grader", "template", "check")} <= set(CHEAP)
