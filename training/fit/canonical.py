"""Pickles whose bytes follow from the values alone, not from which of them happen to be one object in memory.

A plain pickle of the same fit differs with the number of processes: what came back from another process shares other objects.
"""

from __future__ import annotations

import io
import pickle
import zlib
from typing import Any, Final

PROTOCOL: Final = 4
LEVEL: Final = 6
"""Of compression."""


def dumps(value: Any) -> bytes:
    """The compressed pickle of a value that does not contain itself; `joblib.load` reads it."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, PROTOCOL)
    pickler.fast = True  # what is shared is written out each time
    pickler.dump(value)
    return zlib.compress(buffer.getvalue(), LEVEL)
