"""One simulated world to judge in: the landmark table of its local people, and moments of other people with the truth."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from keepwell.care.course import Course
from keepwell.scoring.features import FEATURES
from keepwell.scoring.scorecard import HEADLINE
from training.dataset import FEATURE_COLUMNS, Dataset
from training.dataset.builder import table
from training.dataset.sources import gather
from training.evaluate.oracle import named
from training.evaluate.truth import moment_of, read_truths, seen
from training.simulate import simulate
from training.simulate.code import made_by

JUDGED: Final = "judged.parquet"
_READS: Final = [feature.read for feature in FEATURES]


class Place(NamedTuple):
    """Which worlds: the preset, how many episodes of local people and of those who are judged (about; clients are drawn), and
    the roll-outs a moment of the truth."""

    preset: str
    local: int
    judged: int
    rollouts: int


class JudgedWorld(NamedTuple):
    """`local` is what may be fitted to. `moments` are of other people of the same clinics and clinicians, a row each, in the
    order of the log: `client`, `clinic`, `clinician` (pseudonym, None where not known), the `landmark` (empty where it is at
    none), `target` (1 for a stop within 30 days, else 0), the truth that does not know the clinician and the one that does
    (`unknown`, `known`), and the features as they stood then."""

    seed: int
    local: Dataset
    moments: pd.DataFrame


def world_of(place: Place, seed: int, keep: Path | None = None) -> JudgedWorld:
    """The world of a seed. With `keep` it is kept in a folder there, of a name that says what made it, and read from it the
    next time."""
    if keep is None:
        with TemporaryDirectory() as folder:
            return _made(place, seed, Path(folder))
    folder_name = "-".join(map(str, (*place, seed, made_by())))
    kept = keep / folder_name
    if (kept / JUDGED).exists():
        return JudgedWorld(seed, Dataset.read(kept), pd.read_parquet(kept / JUDGED))
    kept.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        found = _made(place, seed, Path(folder))
    found.local.write(kept)
    found.moments.to_parquet(kept / JUDGED, compression="zstd", index=False)  # last: it says that the folder is whole
    return found


def _made(place: Place, seed: int, folder: Path) -> JudgedWorld:
    episodes = place.local + place.judged
    share = place.judged / episodes
    simulate(place.preset, episodes, seed, folder, rollouts=place.rollouts, truth_of=share, jobs=1)
    gathered = gather([folder / "events.jsonl"], (), None, {})
    whole = table(gathered)
    looked = [one for one in seen(read_truths(folder / "truth.jsonl"), gathered, _look) if one.found is not None]
    places = named([moment_of(one, ()) for one in looked], whole.frame).sort_values("moment", kind="stable")
    kept = [(looked[n], found) for n in places["moment"] for found in [looked[n].found] if found is not None]
    values = np.array([found[0] for _, found in kept], dtype=np.float64).reshape(len(kept), len(FEATURE_COLUMNS))
    facts = pd.DataFrame(
        {
            "client": places["client"].astype(str).to_numpy(dtype=object),
            "clinic": [one.truth.episode.partition("/")[0] for one, _ in kept],
            "clinician": [found[1] for _, found in kept],
            "landmark": places["landmark"].to_numpy(dtype=object),
            "target": np.array([one.targets[HEADLINE] for one, _ in kept], dtype=np.float64),
            "unknown": [one.truth.risk_30d_clinician_unknown for one, _ in kept],
            "known": [one.truth.risk_30d for one, _ in kept],
        }
    )
    moments = pd.concat([facts, pd.DataFrame(values, columns=list(FEATURE_COLUMNS))], axis=1)
    others = ~whole.frame["client"].isin(set(facts["client"])).to_numpy(dtype=np.bool_)
    return JudgedWorld(seed, whole.part(others), moments[moments["target"].notna()].reset_index(drop=True))


def _look(course: Course, at: int, clinic: str) -> tuple[list[float | None], str | None]:
    """Every feature at a moment, and who the clinician is."""
    return [read(course, at) for read in _READS], course.clinician
