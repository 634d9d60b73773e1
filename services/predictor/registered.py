"""The instruments that clinics registered, as the log of a partition tells them: part of its state, kept in the changelog."""

from __future__ import annotations

from typing import Final

import msgspec

from keepwell.care.instruments import Instrument, Instruments, instrument_of
from keepwell.contract.events import InstrumentRegistered

INSTRUMENTS_KEY: Final = b"_instruments"
"""Key of the state that holds the registrations of a partition; no episode key is without a slash."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[InstrumentRegistered])


class Registrations:
    """What each clinic of a partition means by the names of its own instruments.

    Of two registrations of one name the later holds (by time, then id), whichever is read first. It holds for every measure
    of the clinic, those before it too, in all scores from the record on that told it.
    """

    def __init__(self, payload: bytes | None = None) -> None:
        """With what the changelog holds; None: nothing."""
        events = () if payload is None else _decoder.decode(payload)
        self._events = {(event.clinic, event.data.name): event for event in events}
        self._instruments = Instruments.of(self._events.values())

    def get(self, clinic: str, name: str) -> Instrument | None:
        """The instrument a clinic means by a name; None for one that nobody registered."""
        return self._instruments.get(clinic, name)

    def take(self, event: InstrumentRegistered) -> bool:
        """Takes a registration; False where it changes nothing. Raises `ValueError` for facts that cannot be."""
        instrument_of(event.data)
        name = event.clinic, event.data.name
        known = self._events.get(name)
        if known is not None and (known.time, known.id) >= (event.time, event.id):
            return False
        self._events[name] = event
        self._instruments = Instruments.of(self._events.values())
        return True

    def payload(self) -> bytes | None:
        """What the changelog is to hold; None where nothing is registered."""
        return _encoder.encode([event for _, event in sorted(self._events.items())]) if self._events else None
