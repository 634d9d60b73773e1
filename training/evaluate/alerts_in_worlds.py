"""`python -m training.evaluate.alerts_in_worlds`: judges a release's alerts in simulated worlds that it was not fitted to."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final, NamedTuple

import typer
from joblib import Parallel, delayed

from keepwell.contract.events import decode_accepted
from keepwell.scoring.scorecard import HEADLINE
from keepwell.streams.topics import Topics
from models.registry import Releases
from services.predictor.bootstrap import processor
from training.dataset.builder import table
from training.dataset.sources import gather
from training.evaluate.alert_table import AlertFacts, AlertLog, Alerts, alert_facts, told_of
from training.evaluate.alert_words import as_markdown
from training.evaluate.definitions import outcomes
from training.evaluate.replays import replayed
from training.evaluate.report import encode, risks_of
from training.evaluate.truth import moments, read_truths
from training.simulate import simulate

FIRST_SEED: Final = 9101
"""Of the first world; no release is fitted to it, and no line is chosen on it."""
app = typer.Typer(add_completion=False)


class AlertWorld(NamedTuple):
    """One world: the preset of `keepwell simulate`, episodes, and roll-outs a moment of the truth, 0 for none."""

    preset: str
    episodes: int
    rollouts: int
    seed: int


@app.command()
def main(
    *,
    worlds: Annotated[int, typer.Option(min=1, help="How many worlds.")] = 10,
    first_seed: Annotated[int, typer.Option(min=0, help="Of the first world.")] = FIRST_SEED,
    preset: Annotated[str, typer.Option(help="As of `keepwell simulate`.")] = "drawn",
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of each world.")] = 1_500,
    rollouts: Annotated[
        int, typer.Option(min=0, help="Roll-outs a moment of the truth, to rank by it too; 0: no truth.")
    ] = 0,
    release: Annotated[
        str | None, typer.Option(help="The release to judge: digest, unique prefix or path; default: the shipped one.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for alerts.json and alerts.md; made if need be.")] = None,
    jobs: Annotated[int, typer.Option(help="Worlds at a time.")] = 1,
) -> None:
    """Judge a release's live alerts in simulated worlds left out. Nothing in it is real."""
    places = [AlertWorld(preset, episodes, rollouts, first_seed + number) for number in range(worlds)]
    found = judged(places, release, jobs)
    source = (
        f"{worlds} simulated worlds (`{preset}`, seeds {first_seed} to {places[-1].seed}) of {episodes:,} episodes, "
        "to which the release was not fitted; intervals are by bootstrap over "
        f"{'worlds' if worlds > 1 else 'clients'}. Nothing here was learnt from people."
    )
    text = as_markdown(found, source)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "alerts.json").write_bytes(encode(found))
        (out / "alerts.md").write_text(text, encoding="utf-8")
    typer.echo(text)


def judged(places: list[AlertWorld], release: str | None = None, jobs: int = 1) -> Alerts:
    """The figures over worlds; the same whatever `jobs`."""
    registry = Releases()
    opened = registry.default() if release is None else registry.open(release)
    parts: list[AlertFacts] = Parallel(n_jobs=jobs)(delayed(partial(in_world, release=release))(one) for one in places)
    return told_of(parts, opened.policy.line)


def in_world(place: AlertWorld, release: str | None = None) -> AlertFacts:
    """What is counted in one world."""
    topics, registry = Topics(), Releases()
    opened = registry.default() if release is None else registry.open(release)
    with TemporaryDirectory() as name:
        folder = Path(name)
        simulate(place.preset, place.episodes, place.seed, folder, rollouts=place.rollouts, jobs=1)
        gathered = gather([folder / "events.jsonl"], (), None, {})
        truths = read_truths(folder / "truth.jsonl") if place.rollouts else None
    dataset = table(gathered)
    told = (one for stream in gathered.streams for one in stream.told)
    return alert_facts(
        AlertLog(
            dataset,
            risks_of(opened, dataset)[:, HEADLINE],
            events=[decode_accepted(value) for one in told for value in one.events],
            found=outcomes(gathered),
            now=gathered.now,
            told=replayed(processor(topics, release), gathered, topics.alerts),
            truth=None if truths is None else moments(truths, gathered, opened.scorer),
        )
    )


if __name__ == "__main__":
    app()
