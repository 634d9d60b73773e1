"""`make bench`, or `python -m benchmarks --help`: measures, and prints one table."""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import msgspec
import structlog
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import (
    clinician,
    commands,
    engine,
    latency,
    learning,
    memory,
    page,
    replay,
    restore,
    step_costs,
    takeover,
)
from benchmarks.figures import Figure, Plan
from tests.broker.broker import Broker

MEASUREMENTS: Final[Mapping[str, Callable[[Plan], list[Figure]]]] = {
    "step": step_costs.measure,
    "engine": engine.measure,
    "latency": latency.measure,
    "page": page.measure,
    "takeover": takeover.measure,
    "restore": restore.measure,
    "memory": memory.measure,
    "replay": replay.measure,
    "learning": learning.measure,
    "commands": commands.measure,
    "clinician": clinician.measure,
}
ON_KAFKA: Final = frozenset(("engine", "latency", "page", "takeover", "restore"))


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(MEASUREMENTS)}; may be repeated.")] = None,
    events: Annotated[int, typer.Option(min=100, help="Events of a run that measures a rate.")] = 20_000,
    episodes: Annotated[int, typer.Option(min=100, help="Episodes for memory and restore.")] = 24_000,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a window of latency.")] = 5.0,
    rate: Annotated[float, typer.Option(min=1, help="Events a second while latency is measured.")] = 300.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is repeated; the table shows medians.")] = 3,
    rows: Annotated[int, typer.Option(min=20_000, help="Landmark rows to build and to fit, about.")] = 1_000_000,
    clinicians: Annotated[
        int, typer.Option(min=12, help="Clinicians of the clinic whose pages are asked for, about.")
    ] = 500,
    caseload: Annotated[int, typer.Option(min=12, help="Its open episodes, about.")] = 20_000,
    kafka: Annotated[bool, typer.Option(help="Measure on a real broker too (needs Java and Maven).")] = True,
    json: Annotated[Path | None, typer.Option(help="File for the figures, every round of them.")] = None,
) -> None:
    """Measure rates, latencies and bytes on this machine, each beside its aim."""
    chosen = only or list(MEASUREMENTS)
    if unknown := sorted(set(chosen) - MEASUREMENTS.keys()):
        raise typer.BadParameter(f"no measurement {unknown[0]!r}: there are {', '.join(MEASUREMENTS)}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console = Console()
    console.width = max(console.width, 120)
    console.print(machine())
    found: dict[str, list[Figure]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="keepwell-bench-")))
        needed = kafka and not ON_KAFKA.isdisjoint(chosen)
        address = stack.enter_context(Broker()).bootstrap if needed else None
        plan = Plan(folder, address, events, episodes, seconds, rate, rounds, rows, clinicians, caseload)
        for name in chosen:
            sys.stderr.write(f"measuring {name} …\n")
            found[name] = MEASUREMENTS[name](plan)
    console.print(table(found))
    if json is not None:
        told = [_row(name, figure) for name, figures in found.items() for figure in figures]
        json.write_bytes(msgspec.json.format(msgspec.json.encode({"machine": machine(), "figures": told})) + b"\n")


def table(found: Mapping[str, Sequence[Figure]]) -> Table:
    """The figures as a table: median, range over the rounds, aim, and whether it is met."""
    made = Table()
    for title in ("", "what", "unit"):
        made.add_column(title)
    for title in ("median", "range", "aim", ""):
        made.add_column(title, justify="right")
    for name, figures in found.items():
        for number, figure in enumerate(figures):
            low, high = min(figure.samples), max(figure.samples)
            met = "" if figure.aim is None else "met" if figure.aim.met(figure.value) else "missed"
            made.add_row(
                "" if number else name,
                figure.what,
                figure.unit,
                _short(figure.value),
                f"{_short(low)} to {_short(high)}" if low < high else "",
                str(figure.aim or ""),
                met,
            )
        made.add_section()
    return made


def machine() -> str:
    """What the figures depend on."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{os.cpu_count()} cores, load {load} before the start; {platform.system()} {platform.machine()}; "
        f"Python {platform.python_version()}, kafka-python {version('kafka-python')}"
    )


def _row(name: str, figure: Figure) -> dict[str, object]:
    return {
        "measurement": name, "what": figure.what, "unit": figure.unit, "median": figure.value,
        "samples": list(figure.samples), "aim": str(figure.aim) if figure.aim else None,
    }  # fmt: skip


def _short(value: float) -> str:
    """Three digits are more than such figures are good for."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    typer.run(main)
