"""`python -m training.evaluate.worlds`: judges a release in simulated worlds that it was not fitted to."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer

from models.registry import Releases as Registry
from training.evaluate.report import encode
from training.evaluate.worlds.entrants import RECALIBRATED_ON, RELEASE, SIZES, entrants, variants
from training.evaluate.worlds.judge import Setting, judge
from training.evaluate.worlds.table import table_of
from training.evaluate.worlds.words import as_markdown
from training.evaluate.worlds.world import Place

app = typer.Typer(add_completion=False)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder for worlds.json and worlds.md; made if need be.")],
    *,
    worlds: Annotated[int, typer.Option(min=1, help="How many worlds.")] = 10,
    first_seed: Annotated[
        int, typer.Option(min=0, help="Of the first world; not one that a release was fitted to.")
    ] = 9001,
    preset: Annotated[str, typer.Option(help="As of `keepwell simulate`.")] = "drawn",
    local: Annotated[list[int] | None, typer.Option(help="Local episodes that are fitted to; several times.")] = None,
    judged: Annotated[int, typer.Option(min=1, help="Episodes of other people in each world.")] = 3_000,
    rollouts: Annotated[int, typer.Option(min=1, help="Roll-outs a moment of the truth.")] = 64,
    release: Annotated[
        str | None, typer.Option(help="The release to judge: digest, unique prefix or path; default: the shipped one.")
    ] = None,
    other: Annotated[list[str] | None, typer.Option(help="NAME=RELEASE, to judge beside it.")] = None,
    ablations: Annotated[bool, typer.Option("--ablations", help="Also fit without each thing that a fit has.")] = False,
    without: Annotated[
        list[str] | None, typer.Option(help="Patterns of names of features that one ablation hides.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Patterns of names of entrants; default: the usual.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Folder in which simulated worlds are kept.")] = None,
    jobs: Annotated[int, typer.Option(help="Worlds at a time.")] = 1,
) -> None:
    """Judge a release in worlds left out, alone and carried on by local episodes. Nothing in it is real."""
    registry = Registry()
    releases = {RELEASE: registry.default() if release is None else registry.open(release)}
    for one in other or ():
        name, _, where = one.partition("=")
        releases[name] = registry.open(where)
    sizes = local or SIZES
    chosen = entrants(sizes, [name for name in releases if name != RELEASE])
    if ablations:
        chosen += variants(max(sizes), without or ())
    if only:
        chosen = tuple(one for one in chosen if any(fnmatchcase(one.name, pattern) for pattern in only))
    seeds = range(first_seed, first_seed + worlds)
    place = Place(preset, max(*sizes, RECALIBRATED_ON), judged, rollouts)
    setting = Setting(place, seeds, chosen, releases, keep, jobs)
    table = table_of(judge(setting), setting)
    out.mkdir(parents=True, exist_ok=True)
    (out / "worlds.json").write_bytes(encode(table))
    (out / "worlds.md").write_text(as_markdown(table), encoding="utf-8")
    typer.echo(as_markdown(table))


if __name__ == "__main__":
    app()
