"""Long constants are data: a TOML file beside the module that uses it, read once and checked by a type."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


def constants(module: str, kind: type[T]) -> T:
    """What the file of a module (its `__file__`) with the ending `.toml` holds.

    Raises `msgspec.ValidationError`, with the place in the file, where it is not of that kind.
    """
    return msgspec.convert(tomllib.loads(Path(module).with_suffix(".toml").read_text(encoding="utf-8")), kind)
