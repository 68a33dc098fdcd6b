"""Where the store lies in these tests: SQLite always, PostgreSQL where a server can be started."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PORT = 54329


def _programs() -> Path | None:
    """Where Debian, or whoever made this machine, keeps PostgreSQL's programs."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "pg_ctl").exists() and (place / "initdb").exists()), None)


def _as_server(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return (
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *command]
        if os.geteuid() == 0
        else command
    )


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of our own on loopback."""
    pytest.importorskip("psycopg")
    programs = _programs()
    if programs is None or os.name == "nt":
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed, which .ci/system-packages does")
        pytest.skip("PostgreSQL is not installed")
    folder = Path(f"/tmp/grader-postgres-{os.getpid()}")
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}

    def run(*command: str) -> None:
        subprocess.run(_as_server([str(programs / command[0]), *command[1:]]), check=True, cwd=folder, env=environment,
                       stdout=subprocess.DEVNULL)  # fmt: skip

    data = str(folder / "data")
    try:
        run("initdb", "-D", data, "-U", "grader", "-A", "trust", "-N", "-E", "UTF8")
        options = f"-h 127.0.0.1 -p {PORT} -k {folder} -F"
        run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"postgresql://grader@127.0.0.1:{PORT}"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """An empty store."""
    if request.param == "sqlite":
        return tmp_path / "gradebook.sqlite"
    server: str = request.getfixturevalue("postgres")
    return _empty_database(server, f"t{abs(hash(request.node.nodeid)):x}")


def _empty_database(server: str, name: str) -> str:
    import psycopg

    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
    return f"{server}/{name}"
