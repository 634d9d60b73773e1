"""An address that cannot be had is told by what would have to be another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keepwell.web.health import HealthServer
from keepwell.web.listen import NoAddress, listen
from services.catalogue import SERVICES
from tests.web.worked import Worked

LINES = {row.name: [row.name] for row in SERVICES} | {
    "notify": ["notify", "--webhook", "http://127.0.0.1:9/"],
    "up": ["up"],
}


@pytest.fixture
def taken() -> Iterator[int]:
    with listen("127.0.0.1", 0) as held:
        yield held.getsockname()[1]


def test_a_port_that_is_taken_is_told_as_one(taken: int) -> None:
    with pytest.raises(NoAddress, match=f"cannot listen on 127.0.0.1:{taken} ") as caught:
        listen("127.0.0.1", taken)
    assert caught.value.part == "port"


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_told_as_one(host: str) -> None:
    with pytest.raises(NoAddress) as caught:
        listen(host, 0)
    assert caught.value.part == "host"


def test_health_pages_listen_on_ipv6_too() -> None:
    work = Worked()
    with HealthServer(work.live, work.ready, "::1") as server:
        assert server.port > 0


@pytest.mark.parametrize("name", LINES)
def test_a_service_whose_port_is_taken_says_so_before_it_takes_a_partition(
    name: str, taken: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "keepwell.cli.main", *LINES[name], "--port", str(taken)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    service = "ingest" if name == "up" else name
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"keepwell: {service} cannot listen on 127.0.0.1:{taken} (Address already in use): "
        f"name another port with --port or KEEPWELL_{service.upper()}_PORT"
    )
    assert "worker.joined" not in done.stderr
