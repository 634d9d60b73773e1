"""`keepwell simulate`: made-up clinics as an event log, with the true risks that no real clinic knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from keepwell.cli._common import progress, say
from training.simulate import ROLLOUTS, simulate

Preset = Literal["clinic", "community", "shifted", "drawn"]


def command(
    *,
    preset: Annotated[
        Preset,
        typer.Option(
            help="clinic: about 20 % stop; community: about 35 %; shifted: differs; drawn: a mechanism drawn by the seed."
        ),
    ],
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes of care open within the two years.")],
    out: Annotated[Path, typer.Option(help="Folder for events.jsonl and truth.jsonl.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 1,
    rollouts: Annotated[
        int, typer.Option(min=0, help="Roll-outs a moment for the true risks; 0: no truth.jsonl.")
    ] = ROLLOUTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Simulate clinics: events as any clinic would send them, and the true risk at landmarks. Nothing in it is real."""
    with progress() as bar:
        bar.add_task("simulating", total=None)
        written = simulate(preset, episodes, seed, out, rollouts=rollouts)
    say({"simulated_events": written.events, "simulated_truths": written.truths}, as_json)
