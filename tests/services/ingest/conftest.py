"""An HTTP intake over a log in memory, with a clinic that has a key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from keepwell.care.instruments import Instruments
from keepwell.streams.log import Log, Partition, Record
from keepwell.streams.memory import MemoryLog
from keepwell.streams.topics import Topics
from keepwell.streams.worker.process import Check
from keepwell.web.keys import KeyFile, Keyring
from services.ingest.http import Intake, make_app
from services.ingest.settings import IngestSettings
from tests.services.ingest.events import NOW

TOPICS = Topics("t.")


class Door:
    """A running intake as a sender and an operator see it."""

    def __init__(self, log: Log, folder: Path, **settings: Any) -> None:
        self.log = log
        self.keys = KeyFile(folder / "keys.json")
        self.token = self.keys.issue("north", NOW).token
        self.ready = Check(True, "2 partitions")
        log.create_topics(TOPICS.all(2))
        self.app = make_app(
            Intake(
                log=log,
                topic=TOPICS.sessions,
                keyring=Keyring(folder / "keys.json"),
                instruments=Instruments(),
                settings=IngestSettings(**settings),
                now=lambda: NOW,
                live=lambda: Check(True, "last beat of the loop 0 s ago"),
                ready=lambda: self.ready,
            )
        )
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://intake")

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer to any request; options as httpx has them."""
        return self._runner.run(self._client.request(method, path, **options))

    def get(self, path: str) -> httpx.Response:
        """The answer to a GET."""
        return self.request("GET", path)

    def post(
        self, body: bytes, media: str | None = "application/json", token: str | None = None, **more: str
    ) -> httpx.Response:
        """The answer to a request with a body; keywords are further headers, `_` for `-`."""
        headers = {name.replace("_", "-"): content for name, content in more.items()}
        headers["authorization"] = f"Bearer {self.token if token is None else token}"
        if media is not None:
            headers["content-type"] = media
        return self.request("POST", "/v1/events", content=body, headers=headers)

    def post_binary(
        self, body: bytes, attributes: Mapping[str, str], *more: tuple[str, bytes], media: str = "application/json"
    ) -> httpx.Response:
        """The answer to one event in binary mode; `more` are further headers, byte for byte."""
        headers = [(f"ce-{name}".encode(), content.encode()) for name, content in attributes.items()]
        headers += [(name.encode(), content) for name, content in more]
        headers += [(b"authorization", f"Bearer {self.token}".encode()), (b"content-type", media.encode())]
        return self.request("POST", "/v1/events", content=body, headers=headers)

    def close(self) -> None:
        """Ends the event loop."""
        self._runner.run(self._client.aclose())
        self._runner.close()

    def written(self) -> Sequence[Record]:
        """What stands in `session-events`."""
        return [record for number in range(2) for record in self.log.read(Partition(TOPICS.sessions, number))]


@pytest.fixture
def open_door(tmp_path: Path) -> Iterator[Callable[..., Door]]:
    """Makes a `Door`, over a log of its own unless given one."""

    doors: list[Door] = []

    def make(log: Log | None = None, **settings: Any) -> Door:
        doors.append(Door(log or MemoryLog(), tmp_path, **settings))
        return doors[-1]

    yield make
    for door in doors:
        door.close()


@pytest.fixture
def door(open_door: Callable[..., Door]) -> Door:
    return open_door()
