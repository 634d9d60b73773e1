"""Whether the core (`care`, `scoring`, `alerting`) runs compiled or as Python; what it gives is the same to the byte."""

from __future__ import annotations

from pathlib import Path

from keepwell.scoring import scorer


def is_compiled() -> bool:
    """Whether this process runs the compiled core."""
    return not scorer.__file__.endswith(".py")


def told() -> str:
    """The same in words."""
    return "compiled" if is_compiled() else "runs as Python, with the same results, only slower"


def stale(checkout: Path) -> list[Path]:
    """Compiled parts of a checkout that are older than their source, or have none any more: they would run all the same.

    Where there is no `setup.py`, Keepwell was installed whole, and nothing is.
    """
    if not (checkout / "setup.py").exists():
        return []
    built = {
        path: path.with_name(f"{path.name.partition('__mypyc')[0]}.py")
        for path in (checkout / "keepwell").rglob("*__mypyc.*")
    }
    return sorted(
        path for path, source in built.items()
        if not source.exists() or source.stat().st_mtime > path.stat().st_mtime
    )  # fmt: skip
