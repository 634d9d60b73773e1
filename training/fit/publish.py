"""The files of a trained release, the same bytes for the same fit, and its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from keepwell.alerting.policy import Policy
from keepwell.scoring.scorecard import OUTPUTS, Output
from models.release import OFFSETS, POLICY, SCORECARD, Basis, describe, digest_of, put
from training.dataset import Dataset
from training.fit import canonical
from training.fit.card import model_card, recalibration_card
from training.fit.fit import Fitted
from training.fit.held_out import HeldOut
from training.fit.measures import Measures
from training.fit.recalibrate import Recalibrated
from training.fit.reference import reference_of_card

WORLDS: Final = "worlds.json"
"""The file of a release that tells what it, or the one it was made from, is worth in simulated worlds left out."""
MADE_UP: Final = "sim-"
"""How the names of clinics begin that `keepwell simulate` makes up."""


def release(fitted: Fitted, dataset: Dataset, origin: str | None, out: Path, worlds: bytes | None = None) -> str:
    """Writes the release of a fit into the folder `out` and returns its digest. `worlds` is what it, or the release that it
    began at, is worth in worlds left out (`training.evaluate.worlds`), as JSON."""
    begun = fitted.report.begun
    told = origin or " ".join(filter(None, (f"Begun at {begun}." if begun else "", origin_of(dataset))))
    files = {
        SCORECARD: as_json(fitted.card),
        POLICY: as_json(fitted.policy),
        OFFSETS: as_json(fitted.offsets),
        "report.json": as_json(fitted.report),
        "reference.json": as_json(fitted.reference),
        "estimator.joblib": canonical.dumps(fitted.estimator),
        "card.md": model_card(fitted, dataset, told).encode(),
    }
    if worlds is not None:
        files[WORLDS] = worlds
    title = "Additive scorecard" if fitted.report.begun is None else "Additive scorecard, moved by local data"
    return _put(
        out, files, dataset, title=title, origin=told, metrics=_chief(fitted.report.measures),
        left_out={} if fitted.report.left_out is msgspec.UNSET else fitted.report.left_out,
        calibrated_for=fitted.calibrated_for,
    )  # fmt: skip


def release_again(
    recalibrated: Recalibrated,
    dataset: Dataset,
    out: Path,
    *,
    base: str,
    policy: Policy,
    origin: str | None = None,
    shown: HeldOut | None = None,
    worlds: bytes | None = None,
) -> str:
    """Writes a recalibrated release into the folder `out` and returns its digest. `base` is the digest of the one it was, and
    `shown` what the hold-out of the release in use before shows."""
    told = origin or f"{base} recalibrated. {origin_of(dataset)}"
    pooled = recalibrated.pooled
    report: dict[str, Any] = {"recalibrated": base, "stops": recalibrated.stops, "shifts": recalibrated.shifts}
    if pooled is not None:
        report |= {"with_offsets": pooled.measures, "spread": pooled.spread}
    if shown is not None:
        report["held_out"] = shown
    files = {
        SCORECARD: as_json(recalibrated.card),
        POLICY: as_json(policy),
        "report.json": as_json(report),
        "reference.json": as_json(reference_of_card(recalibrated.card, dataset)),
        "card.md": recalibration_card(
            recalibrated, dataset, base=base, policy=policy, shown=shown, origin=told
        ).encode(),
    }
    if pooled is not None:
        files[OFFSETS] = as_json(pooled.offsets)
    if worlds is not None:
        files[WORLDS] = worlds
    after = {name: shift.after for name, shift in recalibrated.shifts.items() if shift.after is not None}
    left_out = {name: f"{base} does not have it" for name in OUTPUTS if name not in recalibrated.card.outputs}
    return _put(
        out, files, dataset, title="Recalibrated scorecard", origin=told, metrics=_chief(after), left_out=left_out,
        calibrated_for=recalibrated.calibrated_for,
    )  # fmt: skip


def origin_of(dataset: Dataset) -> str:
    """What a release was fitted to, in words: how many episodes of which kind."""
    counts = dataset.about.counts
    clinics = [str(name) for name in dataset.frame["clinic"].cat.categories]
    made_up = [name for name in clinics if name.startswith(MADE_UP)]
    where = f"{counts.episodes} episodes of {len(clinics)} clinic{'' if len(clinics) == 1 else 's'}"
    if len(made_up) == len(clinics):
        return f"Fitted to {where}, all simulated: nothing in it was learnt from people."
    if made_up:
        return f"Fitted to {where}, {len(made_up)} of them simulated."
    return f"Fitted to {where}."


def _put(
    out: Path,
    files: Mapping[str, bytes],
    dataset: Dataset,
    *,
    title: str,
    origin: str,
    metrics: dict[str, float | None],
    left_out: Mapping[Output, str],
    calibrated_for: Sequence[str],
) -> str:
    about, counts = dataset.about, dataset.about.counts
    basis = Basis(
        fingerprint=about.fingerprint,
        as_of=about.as_of,
        events=counts.events,
        clients=counts.clients,
        episodes=counts.episodes,
        rows=counts.rows,
        positive=counts.positive,
    )
    manifest = describe(
        title=title, origin=origin, created=about.as_of[:10], files=files, data=basis, metrics=metrics,
        left_out=left_out, calibrated_for=calibrated_for,
    )  # fmt: skip
    put(out, manifest, files)
    return digest_of(manifest)


def _chief(found: Mapping[str, Measures]) -> dict[str, float | None]:
    return {
        f"{figure}_{name}": round(getattr(one, figure), 4)
        for name, one in found.items()
        for figure in ("auroc", "slope", "ece", "skill")
    }


def as_json(value: Any) -> bytes:
    """A file of a release as JSON, the same bytes for the same value."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
