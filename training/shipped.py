"""Makes the release that is shipped: `python -m training.shipped` simulates many worlds, fits a model to all of them, puts it
in place.

No data of real people are open from which such a model could be learnt, so the shipped one is learnt from simulated clinics,
each group of which draws its own mechanism. Its manifest, its card and all that shows it say so; a clinic carries it on with
its own data. A world is simulated, read and let go of before the next: what stays is a row for each moment of decision.
"""

from __future__ import annotations

import hashlib
import shutil
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from keepwell.scoring.scorecard import HEADLINE, Scorecard
from keepwell.scoring.scorer import Scorer
from models.hand_set import POLICY
from models.release import (
    DEFAULT,
    MANIFEST,
    SCORECARD,
    Manifest,
    describe,
    digest_of,
    folder_name,
    put,
    read_in,
    verified,
)
from models.release import POLICY as POLICY_FILE
from training.dataset import FEATURE_COLUMNS, TARGET_COLUMNS, Dataset, build
from training.dataset.table import ABOUT, About, Counts
from training.evaluate import encode
from training.evaluate.worlds.entrants import RECALIBRATED_ON, RELEASE, entrants
from training.evaluate.worlds.judge import Setting, judge
from training.evaluate.worlds.table import table_of
from training.evaluate.worlds.world import Place
from training.fit.card import line_told
from training.fit.fit import FitReport, Fitted, Options, fit
from training.fit.line import OF_LINES, AlertLine, at, line_of
from training.fit.publish import as_json, release
from training.fit.sample import sample_of
from training.simulate import simulate
from training.simulate.code import made_by

WORLDS: Final = tuple(range(1001, 1061))
"""Seeds of the worlds. Others are for judging: those of `training.evaluate.worlds` begin at 9001."""
EPISODES: Final = 2_500
"""Of each world."""
MOST_ROWS: Final = 300_000
"""Rows that one fit of a bag reads: rare signals need many."""
JUDGED: Final = tuple(range(9001, 9007))
"""Seeds of the worlds by which the release is judged for its report."""
ROLLOUTS: Final = 32
BUDGET: Final = 10.0
"""Alerts per 100 sessions, of the kinds that a line decides: how much is voiced besides is another matter in every clinic;
ours."""
LINED: Final = tuple(range(9011, 9019))
"""Seeds of the worlds by which the lines are chosen: the release was fitted to none of them, and is judged in others."""


class Plan(NamedTuple):
    """Which worlds; with `keep` their rows are kept in a folder there, by what made them, and read from it the next time."""

    seeds: Sequence[int] = WORLDS
    episodes: int = EPISODES
    judged_in: Sequence[int] = JUDGED
    lined_in: Sequence[int] = LINED
    judged: int = 2_000
    """Episodes by which the release is judged in each world of `judged_in`."""
    preset: str = "drawn"
    keep: Path | None = None
    jobs: int = 2


def main(place: Path = DEFAULT, plan: Plan = Plan()) -> str:  # noqa: B008  # a plan cannot be changed
    """Writes the release into a folder of its name below `place`, instead of what was there, and returns its digest."""
    fitted, dataset = fitted_to(plan)
    fitted = lined(fitted, plan)
    with TemporaryDirectory() as folder:
        made, judged = Path(folder) / "release", Path(folder) / "judged"
        release(fitted, dataset, None, judged)
        digest = release(fitted, dataset, None, made, left_out(judged, plan))
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(made, place / folder_name(digest))
    return digest


def lined_again(place: Path = DEFAULT, plan: Plan = Plan()) -> str:  # noqa: B008  # a plan cannot be changed
    """Chooses the lines of the release below `place` anew, leaves its fit as it is, and returns the new digest. `main` with
    the same worlds writes the same files."""
    (folder,) = [one for one in place.iterdir() if one.is_dir()]
    files = {name: (folder / name).read_bytes() for name in verified(read_in(folder), str(folder)).manifest.files}
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    report = msgspec.json.decode(files["report.json"], type=FitReport)
    line = _lines(Scorer(msgspec.json.decode(files[SCORECARD], type=Scorecard)), plan)
    files[POLICY_FILE] = as_json(at(POLICY, line.line, line.absent))
    files["report.json"] = as_json(msgspec.structs.replace(report, line=line))
    card = files["card.md"].decode()
    files["card.md"] = card.replace(line_told(report.line), line_told(line)).encode()
    made = describe(
        title=manifest.title, origin=manifest.origin, created=manifest.created, files=files, code=manifest.code,
        data=manifest.data, metrics=manifest.metrics,
    )  # fmt: skip
    shutil.rmtree(folder)
    put(place / folder_name(digest_of(made)), made, files)
    return digest_of(made)


def left_out(folder: Path, plan: Plan) -> bytes:
    """What the release in a folder is worth in worlds that it was not fitted to, as JSON: alone, and recalibrated. What local
    episodes make of it takes much longer, and is told by `python -m training.evaluate.worlds`."""
    chosen = [one for one in entrants() if not one.local or one.how == "recalibrated"]
    place = Place(plan.preset, RECALIBRATED_ON, plan.judged, ROLLOUTS)
    setting = Setting(
        place, plan.judged_in, chosen, {RELEASE: verified(read_in(folder), str(folder))}, plan.keep, plan.jobs
    )
    return encode(table_of(judge(setting), setting))


def fitted_to(plan: Plan) -> tuple[Fitted, Dataset]:
    """The fit to all worlds, and the moments that it was fitted to."""
    dataset = worlds(plan, plan.seeds)
    options = Options(seats="aside", apart="world", most=MOST_ROWS, jobs=plan.jobs)
    return fit(dataset, POLICY, options), dataset


def lined(fitted: Fitted, plan: Plan) -> Fitted:
    """The same with the lines that keep to `BUDGET` in worlds that it was not fitted to."""
    line = _lines(Scorer(fitted.card), plan)
    report = msgspec.structs.replace(fitted.report, line=line)
    return fitted._replace(policy=at(POLICY, line.line, line.absent), report=report)


def _lines(scorer: Scorer, plan: Plan) -> AlertLine:
    dataset = worlds(plan, plan.lined_in, every_row=True)
    risk = scorer.risks(dataset.matrix([term.feature for term in scorer.card.terms]))[:, HEADLINE]
    return line_of(sample_of(dataset), risk, POLICY, BUDGET, None, counted=OF_LINES)


def worlds(plan: Plan, seeds: Sequence[int], *, every_row: bool = False) -> Dataset:
    """The moments of decision of worlds as one table, features in single precision; or every row, as live alerts look at all:
    on moments alone a line raises fewer."""
    return joined(Parallel(n_jobs=plan.jobs)(delayed(_world)(plan, seed, every_row) for seed in seeds))


def joined(parts: Sequence[Dataset]) -> Dataset:
    """Datasets of different clinics as one. `as_of` is the latest."""
    frame = pd.concat([part.frame for part in parts], ignore_index=True)
    for name in ("episode", "clinic", "client", "clinician", "ending", "kind", "moment"):
        frame[name] = frame[name].astype("category")
    told = [part.about.counts for part in parts]
    counts = Counts(
        **{
            name: sum(getattr(one, name) for one in told)
            for name in ("events", "refused", "later", "erased", "clients", "episodes", "rows")
        },
        undetermined=_summed([one.undetermined for one in told]),
        positive=_summed([one.positive for one in told]),
    )
    prints = hashlib.sha256("\n".join(part.about.fingerprint for part in parts).encode()).hexdigest()
    about = About(
        fingerprint=f"sha256:{prints}",
        as_of=max(part.about.as_of for part in parts),
        definition=parts[0].about.definition,
        features=parts[0].about.features,
        counts=counts,
    )
    return Dataset(frame, pd.concat([part.fairness for part in parts]), about)


def _world(plan: Plan, seed: int, every_row: bool) -> Dataset:
    """As `worlds`, of one that is simulated into a folder which is taken away again."""
    rows = "-every-row" if every_row else ""
    kept = None if plan.keep is None else plan.keep / f"{plan.preset}-{seed}-{plan.episodes}{rows}-{made_by()}"
    if kept is not None and (kept / ABOUT).exists():
        return Dataset.read(kept)
    with TemporaryDirectory() as folder:
        simulate(plan.preset, plan.episodes, seed, Path(folder), rollouts=0, jobs=1)
        dataset = build([Path(folder) / "events.jsonl"])
    found = dataset if every_row else dataset.part(dataset.frame["moment"].notna().to_numpy())
    names = [*FEATURE_COLUMNS, *TARGET_COLUMNS]
    found = Dataset(found.frame.astype(dict.fromkeys(names, np.float32)), found.fairness, found.about)
    if kept is not None:
        found.write(kept)
    return found


def _summed(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    return {name: sum(one[name] for one in counts) for name in counts[0]}


if __name__ == "__main__":
    told = ArgumentParser(description=__doc__)
    told.add_argument("--keep", type=Path, help="folder in which simulated worlds are kept")
    told.add_argument("--jobs", type=int, default=2)
    told.add_argument("--lines", action="store_true", help="choose the lines alone anew, and leave the fit as it is")
    asked = told.parse_args()
    make = lined_again if asked.lines else main
    print(make(plan=Plan(keep=asked.keep, jobs=asked.jobs)))  # noqa: T201
