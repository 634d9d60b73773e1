"""`keepwell train`: events to a release folder, or a release recalibrated to a clinic with few data."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from keepwell.alerting.policy import MOST_WITHHELD, Policy
from keepwell.cli._common import progress, say
from keepwell.cli._offline import Instruments, moment, registrations
from keepwell.cli._options import AsJson, Prefix
from keepwell.cli._settings import read
from keepwell.cli._source import check_source, opened
from keepwell.scoring.scorecard import HEADLINE
from keepwell.settings import Settings
from models.registry import Releases
from models.release import Release, default
from training.dataset import Dataset, build
from training.evaluate.report import risks_of
from training.fit.fit import BUDGET, Beginning, Options, fit
from training.fit.held_out import HeldOut, held_out
from training.fit.learners import Learner
from training.fit.line import at, line_of
from training.fit.publish import WORLDS, release, release_again
from training.fit.recalibrate import ENOUGH_STOPS, recalibrate
from training.fit.sample import sample_of

SHIPPED: Final = "shipped"
NOTHING: Final = "none"


class LearnerName(StrEnum):
    """The learners by name."""

    both = "both"
    boosting = "boosting"
    logistic = "logistic"


LEARNERS: Final[Mapping[LearnerName, Learner]] = {
    LearnerName.both: "both", LearnerName.boosting: "boosting", LearnerName.logistic: "logistic",
}  # fmt: skip


def command(
    *,
    out: Annotated[Path, typer.Option(help="Folder to write the release into.")],
    files: Annotated[
        list[str] | None, typer.Argument(help="Events: JSON lines (also .gz, .zst, -) or Parquet archives.")
    ] = None,
    log: Annotated[
        str | None, typer.Option(help="Learn from the accepted events of this log instead of files.")
    ] = None,
    topic_prefix: Prefix = None,
    registry: Annotated[
        str | None, typer.Option(help="Publish it here too: a folder, or URL of an object store.")
    ] = None,
    recalibrated: Annotated[
        str | None,
        typer.Option("--recalibrate", metavar="RELEASE", help="Fit no model; recalibrate this release to the events."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="RELEASE",
            help="The release in use while the events came in: its policy is taken over, but for the line where one is "
            "chosen, and what its hold-out shows is reported; default: the shipped one, or that of --recalibrate.",
        ),
    ] = None,
    origin: Annotated[
        str | None, typer.Option(help="What the data are, in a sentence; default: counts, and whether simulated.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(help=f"Choose the lines for so many alerts per 100 sessions, safety apart; default {BUDGET:g}."),
    ] = None,
    cost_ratio: Annotated[
        float | None, typer.Option(help="Choose the line by costs: how many needless alerts one missed stop is worth.")
    ] = None,
    learner: Annotated[
        LearnerName, typer.Option(help="Both are additive, and so is their average, which validation weighs.")
    ] = LearnerName.both,
    treated: Annotated[
        float,
        typer.Option(min=0, max=1, help="Weight of rows in the 30 days after an alert or act; 0 leaves them out."),
    ] = 1.0,
    withhold: Annotated[
        float,
        typer.Option(
            min=0,
            max=MOST_WITHHELD,
            help="Hold-out: raise no risk alert of this share of episodes. Not without those who answer for the clients: "
            "docs/explanation/treated-risk.md.",
        ),
    ] = 0.0,
    use_offsets: Annotated[
        bool | None,
        typer.Option(
            "--use-offsets/--no-offsets",
            help="Let the release add what is usual at a clinic and with a clinician to its risks, or not; default: where "
            "validation on later clients gains, and never with --recalibrate.",
        ),
    ] = None,
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="shipped|none|RELEASE",
            help="The scorecard that the fit begins at and moves as far as the data carry it; none: from nothing.",
        ),
    ] = SHIPPED,
    alerts: Annotated[
        list[Path] | None,
        typer.Option(help="JSON lines of alerts that were really shown; a log has its own."),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Until when outcomes are known, RFC 3339; default: the last event.")
    ] = None,
    instruments: Instruments = None,
    seed: Annotated[int, typer.Option(min=0, help="The same data and seed give the same digest.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; the result does not depend on it.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train a release on events, or recalibrate one: manifest, scorecard, policy, offsets, metrics, estimator and card."""
    if budget is not None and cost_ratio is not None:
        raise typer.BadParameter("give a budget or a cost ratio, not both", param_hint="--budget")
    if recalibrated is not None and (treated != 1 or learner is not LearnerName.both):
        raise typer.BadParameter(
            "says how a model is fitted, and --recalibrate fits none: intercept and slope rest on all rows alike",
            param_hint="--treated, --learner",
        )
    if recalibrated is not None and begin != SHIPPED:
        raise typer.BadParameter("says where a fit begins, and --recalibrate fits none", param_hint="--from")
    until = moment(as_of)
    check_source(files, log, alerts or ())
    own = registrations(instruments)
    settings = read(Settings, log=log, topic_prefix=topic_prefix)
    with progress() as bar, opened(files, settings) as source:
        bar.add_task("reading", total=None)
        moved = Releases(registry).open(recalibrated) if recalibrated is not None else None
        before = Releases(registry).open(base) if base is not None else moved or default()
        dataset = build(
            source, registrations=own, as_of=until, alerts=alerts or (), n_jobs=jobs
        )  # fmt: skip
    # Only who names a release with --base says that it was in use, and that its hold-out was one.
    shown = None
    if base is not None and before.policy.withhold is not None:
        shown = held_out(dataset, before, risks_of(before, dataset)[:, HEADLINE])
    # A hold-out is never taken over without being asked for.
    policy = msgspec.structs.replace(before.policy, withhold=withhold or None)
    options = Options(
        learner=LEARNERS[learner],
        budget=budget,
        cost_ratio=cost_ratio,
        treated=treated,
        seats="auto" if use_offsets is None else "on" if use_offsets else "off",
        start=None if moved is not None else _begun(begin, registry),
        seed=seed,
        jobs=jobs,
    )
    worlds = _worlds(recalibrated or begin, registry)
    if moved is None:
        result = _trained(dataset, policy, options, shown=shown, origin=origin, out=out, worlds=worlds)
    else:
        result = _recalibrated(
            dataset, moved, policy, options, shown=shown, origin=origin, out=out, worlds=worlds
        )  # fmt: skip
    if registry is not None:
        Releases(registry).publish(str(out))
    say(result, as_json)


def _begun(name: str, registry: str | None) -> Beginning | None:
    """The release that a fit begins at. Raises `InvalidRelease` where there is no such release."""
    if name == NOTHING:
        return None
    found = default() if name == SHIPPED else Releases(registry).open(name)
    return Beginning(found.digest, found.scorer.card)


def _worlds(name: str, registry: str | None) -> bytes | None:
    """What the release that another is made from is worth in worlds left out; None where it does not say."""
    if name == NOTHING:
        return None
    return Releases(registry).file(default().digest if name == SHIPPED else name, WORLDS)


def _trained(
    dataset: Dataset,
    policy: Policy,
    options: Options,
    *,
    shown: HeldOut | None,
    origin: str | None,
    out: Path,
    worlds: bytes | None,
) -> dict[str, Any]:
    """Fits and writes a release. Raises `NotFitted`, `OSError`."""
    if options.budget is None and options.cost_ratio is None:
        options = options._replace(budget=BUDGET)
    fitted = fit(dataset, policy, options)
    if shown is not None:
        fitted = fitted._replace(report=msgspec.structs.replace(fitted.report, held_out=shown))
    report = fitted.report
    return {
        "release": release(fitted, dataset, origin, out, worlds),
        "folder": str(out),
        "rows": report.rows,
        "clients": report.clients,
        "stops": report.stops,
        "auroc": {name: round(one.auroc, 4) for name, one in report.measures.items()},
        "calibration_slope": {name: round(one.slope, 3) for name, one in report.measures.items()},
        "line": report.line.line,
        "absent": report.line.absent,
        "alerts_per_100_sessions": round(report.line.alerts_per_100_sessions, 2),
        "alerts_per_clinician_week": round(report.line.alerts_per_clinician_week, 3),
    } | ({} if report.left_out is msgspec.UNSET else {"left_out": report.left_out})


def _recalibrated(
    dataset: Dataset,
    base: Release,
    policy: Policy,
    options: Options,
    *,
    shown: HeldOut | None,
    origin: str | None,
    out: Path,
    worlds: bytes | None,
) -> dict[str, Any]:
    """Recalibrates and writes a release; its line stays unless one is asked for. Raises `NotFitted`, `OSError`."""
    found = recalibrate(dataset, base.scorer, options.seats == "on")
    if options.budget is not None or options.cost_ratio is not None:
        headline = found.risks[:, HEADLINE]
        line = line_of(sample_of(dataset), headline, policy, options.budget, options.cost_ratio)
        policy = at(policy, line.line, line.absent)
    offsets = found.pooled.offsets if found.pooled is not None else None
    return {
        "release": release_again(
            found, dataset, out, base=base.digest, policy=policy, origin=origin, shown=shown, worlds=worlds
        ),
        "folder": str(out),
        "recalibrated": base.digest,
        "stops": found.stops,
        "shrunk": found.stops < ENOUGH_STOPS,
        "intercept": {name: round(shift.intercept, 3) for name, shift in found.shifts.items()},
        "slope": {name: round(shift.slope, 3) for name, shift in found.shifts.items()},
        "line": policy.line,
        "absent": policy.absent,
        "offsets": {"clinics": len(offsets.clinics), "clinicians": len(offsets.clinicians)} if offsets else {},
    }
