"""Services in one process: those of the catalogue that are set, each in a thread over one log."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from types import TracebackType

from keepwell.cli._settings import read_all
from keepwell.settings import Settings
from keepwell.streams.log import Log
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.streams.worker.loop import STALLED_SECONDS
from keepwell.streams.worker.process import Check, Watchdog
from keepwell.web.server import Server
from keepwell.web.service import Until, Work, address_by_setting, under_its_name
from keepwell.web.shared import Shared
from services.catalogue import SERVICES


def settings_of(flags: Mapping[str, object], without: Collection[str] = ()) -> dict[str, Settings]:
    """The settings of every service that is set, by its name; each takes the flags that it knows. Raises `WrongSettings`."""
    return {row.name: settings for row, settings in read_all(flags, without).items() if row.is_set(settings)}


def groups_of(settings: Mapping[str, Settings]) -> list[tuple[str, str]]:
    """The consumer groups of these services, each with the topic that it works off; without those of a database that is not
    there yet."""
    topics = Topics(next(iter(settings.values())).topic_prefix)
    rows = [row for row in SERVICES if row.name in settings]
    return [(group.name, topics.full(group.topic)) for row in rows for group in row.groups_with(settings[row.name])]


class Together:
    """The services of one installation, from the start to the end of a `with` block; `settings` as `settings_of` makes them.

    What they serve to people is served at one address, that of the first of them, which is taken before any partition is:
    `address` has its host and port. It is not live when one of the services is not, and ready when those behind it are. When
    one service fails, all stop; the error is raised at the end of the block.
    """

    def __init__(self, log: Log, settings: Mapping[str, Settings]) -> None:
        self.stop = threading.Event()
        self.address = ""
        self._error: BaseException | None = None
        self._open = ExitStack()
        ensure_topics(log, Topics(next(iter(settings.values())).topic_prefix))
        self._settings = settings
        self._rows = [row for row in SERVICES if row.name in settings]
        self._services = {row.name: row.make()(settings[row.name], log) for row in self._rows}

    def __enter__(self) -> Together:
        with ExitStack() as opened:
            for name, service in self._services.items():
                opened.enter_context(under_its_name(name, service, self._settings[name]))
            server = opened.enter_context(self._face())
            for service in self._services.values():
                opened.enter_context(service.beside)
                opened.enter_context(Watchdog(service.work.silence, STALLED_SECONDS))
            for name, service in self._services.items():
                thread = threading.Thread(target=self._run, args=(service.work, server), name=name)
                thread.start()
                opened.callback(thread.join)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self._open.close()
        if self._error is not None and error is None:
            raise self._error

    def _face(self) -> Server:
        apps = {
            row.serves: app(self._live, self._ready)
            for row in self._rows
            if row.serves is not None and (app := self._services[row.name].app) is not None
        }
        first = next(row for row in self._rows if row.serves is not None)
        host, port = first.address(self._settings[first.name])
        with address_by_setting(first.name):
            server = Server(Shared(apps), host, port)
        self.address = f"{host}:{server.port}"
        return server

    def _live(self) -> Check:
        return _all({name: service.work.live() for name, service in self._services.items()})

    def _ready(self) -> Check:
        behind = [row.name for row in self._rows if row.serves is not None]
        return _all({name: self._services[name].work.ready() for name in behind})

    def _run(self, work: Work, server: Server) -> None:
        try:
            work.run(Until(self.stop, server.ended))
            if not self.stop.is_set():
                raise RuntimeError("the HTTP server ended by itself")
        except BaseException as error:
            self._error = self._error or error
            self.stop.set()


def _all(found: Mapping[str, Check]) -> Check:
    """Well where all are, with what each says."""
    return Check(
        all(check.ok for check in found.values()), "; ".join(f"{name}: {check.why}" for name, check in found.items())
    )
