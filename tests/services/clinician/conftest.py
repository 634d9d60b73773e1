"""The two databases of the clinician's side: SQLite in a file, and a PostgreSQL server that the run starts itself."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.clinician.database import open_engine

DEADLINE = 60.0
UNPRIVILEGED = "nobody"
"""PostgreSQL does not run as root."""


def _program(name: str) -> str:
    found = shutil.which(name) or next(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    assert found is not None, f"{name} of PostgreSQL is not on this machine: install postgresql"
    return found


def _user() -> str | None:
    return UNPRIVILEGED if os.getuid() == 0 else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a server's first database, without a name."""
    with tempfile.TemporaryDirectory(prefix="kw-pg-", dir="/tmp") as folder:
        place, sockets = Path(folder) / "data", Path(folder)
        if os.getuid() == 0:
            shutil.chown(folder, UNPRIVILEGED)
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": folder}
        made = [_program("initdb"), "-D", str(place), "-U", "keepwell", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, user=_user(), env=environment, cwd=folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={sockets}", "-c", "fsync=off"]
        server = subprocess.Popen(
            [_program("postgres"), "-D", str(place), "-p", str(port), *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=_user(), env=environment, cwd=folder,
        )  # fmt: skip
        url = f"postgresql+psycopg://keepwell@127.0.0.1:{port}/"
        try:
            _wait_for(f"{url}postgres", server)
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(DEADLINE)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'clinician.db'}"
        return
    server, name = request.getfixturevalue("postgres"), f"t{secrets.token_hex(6)}"
    admin = sa.create_engine(f"{server}postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield server + name
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def opened(database: str) -> Iterator[sa.Engine]:
    """An empty database, open."""
    engine = open_engine(database)
    yield engine
    engine.dispose()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    engine, deadline = sa.create_engine(url), time.monotonic() + DEADLINE
    while True:
        try:
            with engine.connect():
                break
        except sa.exc.OperationalError:
            assert server.poll() is None and time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.05)
    engine.dispose()
