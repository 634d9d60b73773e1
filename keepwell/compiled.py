"""Whether the core (`care`, `scoring`, `alerting`) runs compiled or as Python; what it gives is the same to the byte."""

from __future__ import annotations

from keepwell.scoring import scorer


def is_compiled() -> bool:
    """Whether this process runs the compiled core."""
    return not scorer.__file__.endswith(".py")


def told() -> str:
    """The same in words."""
    return (
        "compiled" if is_compiled() else "runs as Python, with the same results, only slower: no C compiler was at hand"
    )
