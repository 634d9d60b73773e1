"""How every service runs: the log, its topics, health pages and a watchdog around the work, from the start to a signal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, TypeVar

from keepwell.observe import setup_logging
from keepwell.settings import Settings
from keepwell.streams.claim import held
from keepwell.streams.log import Log
from keepwell.streams.open import member_file
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.streams.worker.loop import STALLED_SECONDS, Stop
from keepwell.streams.worker.process import Check, Watchdog, stop_on_signals, tune_gc
from keepwell.web.listen import NoAddress

if TYPE_CHECKING:
    from starlette.types import ASGIApp

Checked = Callable[[], Check]
"""A check that any thread may ask for, and that does not block."""


class Work(Protocol):
    """What a service does over its log, in one thread. A `Worker` is one."""

    def run(self, stop: Stop) -> None:
        """Works until `stop` is set, and ends what is in hand. Raises what a restart of the process may mend."""

    def drain(self, stop: Stop) -> None:
        """As `run`, but ends as soon as what the log held at the start is worked off."""

    def live(self) -> Check:
        """Whether it still turns; a process that is not live should be restarted. For any thread."""

    def ready(self) -> Check:
        """Whether it does its share. For any thread."""

    def silence(self) -> float:
        """Seconds since a sign of life was due. For any thread."""


class Face(Protocol):
    """An address that is served, from the start to the end of a `with` block. `ended` is set once it is served no more."""

    port: int
    ended: threading.Event

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


App = Callable[[Checked, Checked], "ASGIApp"]
"""What makes an application from what its health pages tell: whether it is live, and ready."""


class Service(NamedTuple):
    """A service over an open log whose topics exist.

    `face` takes the service's address, and serves /livez, /readyz and /metrics there at least; the two checks are what they
    tell. It raises `OSError` naming the address where that cannot be had. `app`: what it serves where that is more than these
    pages; a process that runs several services serves it too. `beside` goes on in a thread of its own while the work runs.
    `named`: it works under the instance's name, which no second one may have meanwhile.
    """

    work: Work
    face: Callable[[Checked, Checked], Face]
    beside: AbstractContextManager[object] = nullcontext()
    app: App | None = None
    named: bool = True


S = TypeVar("S", bound=Settings)


def run(
    name: str, settings: S, make: Callable[[S, Log], Service], *, drain: bool = False, stop: Stop | None = None
) -> None:
    """Runs a service as a process of its own until `stop` is set, by default by SIGTERM or SIGINT.

    `drain`: without an address, until it has worked off what the log held. Raises `LogError`, `OSError`, and what `make` and
    the work raise.
    """
    setup_logging(name, settings.instance)
    stop = stop or stop_on_signals()
    log = settings.open_log()
    try:
        ensure_topics(log, Topics(settings.topic_prefix))
        service = make(settings, log)
        if stop.is_set():
            return  # what it is made of may be missing, as it was waited for
        tune_gc()
        with under_its_name(name, service, settings):
            if drain:
                with Watchdog(service.work.silence, STALLED_SECONDS):
                    service.work.drain(stop)
            else:
                with address_by_setting(name):
                    serve(service, stop)
    finally:
        log.close()


def serve(service: Service, stop: Stop) -> None:
    """Works until `stop` is set, with its face open. The address is taken before any partition is. Raises as `run`."""
    work = service.work
    with (
        service.face(work.live, work.ready) as face,
        service.beside,
        Watchdog(work.silence, STALLED_SECONDS),
    ):
        work.run(Until(stop, face.ended))
    if not stop.is_set():
        raise RuntimeError("the HTTP server ended by itself")


@contextmanager
def under_its_name(name: str, service: Service, settings: Settings) -> Iterator[None]:
    """Keeps the instance's name to one process on this machine, as two would take each other's partitions in turn.

    Raises `LogError` that says who has it.
    """
    file = member_file(settings.log, settings.topic_prefix, name, settings.instance) if service.named else None
    if file is None:
        yield
        return
    remedy = "End that one first, or give this one a name of its own with --instance"
    with held(file, f"keepwell {name}", remedy) as lock:
        lock.sign(settings.instance)
        yield


@contextmanager
def address_by_setting(name: str) -> Iterator[None]:
    """Says of an address that the service of this name cannot have by which flag or setting it would have another."""
    try:
        yield
    except NoAddress as error:
        part = error.part
        raise OSError(
            f"{name} {error}: name another {part} with --{part} or KEEPWELL_{name.upper()}_{part.upper()}"
        ) from error


class Until:
    """A stop that is also set once an event is: a face that is served no more, say."""

    def __init__(self, stop: Stop, ended: threading.Event) -> None:
        self._stop = stop
        self._ended = ended

    def is_set(self) -> bool:
        """As `Stop`."""
        return self._stop.is_set() or self._ended.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """As `Stop`; does not wake for the event."""
        return self._stop.wait(timeout)
