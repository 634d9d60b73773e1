"""The instruments that clinics registered in a log: what a writer of it, or a look from outside, has to know."""

from __future__ import annotations

import threading
from typing import Final

import msgspec
import structlog

from keepwell.care.instruments import Instrument, Instruments
from keepwell.contract import keys
from keepwell.contract.events import InstrumentRegistered, decode_accepted
from keepwell.streams.log import Log, LogError, Partition, Record
from keepwell.streams.topics import Topics

PARTITION: Final = 0
"""Every partition of `episode-events` holds every registration; this one is read."""
REFRESH_SECONDS: Final = 5.0
"""How long after it was written a registration is at most unknown to ingest; ours."""
_log = structlog.get_logger(__name__)


class RegisteredInstruments:
    """What clinics registered, as far as a log was read: for who checks events before they are accepted. For any thread.

    `refresh` reads on from where it was. Between two of them a registration is not known yet, and a score that only it would
    have found out of range is accepted; what reads that measure later tells so in the gaps.
    """

    def __init__(self, log: Log, topics: Topics) -> None:
        self._log = log
        self._partition = Partition(topics.episodes, PARTITION)
        self._next = 0
        self._events: dict[tuple[str, str], InstrumentRegistered] = {}
        self._instruments = Instruments()
        self._reading = threading.Lock()

    def get(self, clinic: str, name: str) -> Instrument | None:
        """The instrument a clinic means by `name`; None for one that nobody registered."""
        return self._instruments.get(clinic, name)

    def refresh(self) -> list[InstrumentRegistered]:
        """Reads on to the end, and returns the newest registration of each name. Raises `LogError`."""
        with self._reading:
            found = False
            for record in self._log.read(self._partition, self._next):
                self._next = record.offset + 1
                if (event := _registration(record)) is not None:
                    name = event.clinic, event.data.name
                    known = self._events.get(name)
                    if known is None or (known.time, known.id) < (event.time, event.id):
                        self._events[name] = event
                        found = True
            if found:
                self._instruments = Instruments.of(self._events.values())
            return [event for _, event in sorted(self._events.items())]


class FollowedInstruments:
    """Refreshes registered instruments every few seconds, from a thread of its own. A context manager."""

    def __init__(self, instruments: RegisteredInstruments, seconds: float = REFRESH_SECONDS) -> None:
        self._instruments = instruments
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="instruments", daemon=True)

    def __enter__(self) -> FollowedInstruments:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._instruments.refresh()
            except LogError as error:  # the worker beside it meets the same, and knows what to do
                _log.warning("instruments.not_read", cause=type(error).__name__, why=str(error))


def read_registered(log: Log, topics: Topics) -> list[InstrumentRegistered]:
    """The newest registration of each name that a log holds, by clinic and name. Raises `LogError`."""
    return RegisteredInstruments(log, topics).refresh()


def _registration(record: Record) -> InstrumentRegistered | None:
    if record.key is None or record.value is None or not record.key.startswith(keys.INSTRUMENT):
        return None
    try:
        event = decode_accepted(record.value)
        if isinstance(event, InstrumentRegistered):
            Instruments.of([event])  # one that cannot be is set aside by the predictor, and registers nothing
            return event
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return None
    return None
