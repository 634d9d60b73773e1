"""Makes the release that is shipped: `python -m training.shipped` simulates clinics, fits a model to them, puts it in place.

No data of real people are open from which such a model could be learnt, so the shipped one is learnt from simulated clinics.
Its manifest, its card and all that shows it say so; a clinic recalibrates it, or trains its own.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from models.hand_set import POLICY
from models.release import DEFAULT, folder_name
from training.dataset import build
from training.fit.fit import Options, fit
from training.fit.publish import release
from training.simulate import simulate

WORLDS: Final = (("clinic", 20_000, 101), ("community", 20_000, 201))
"""Preset, episodes and seed of each simulated world. Other seeds are for judging: see docs/explanation/results.md."""
BUDGET: Final = 0.25
"""Risk alerts per clinician-week; that of `keepwell train`."""


def main(place: Path = DEFAULT, worlds: tuple[tuple[str, int, int], ...] = WORLDS, jobs: int = 2) -> str:
    """Writes the release into a folder of its name below `place`, instead of what was there, and returns its digest."""
    with TemporaryDirectory() as folder:
        files = []
        for preset, episodes, seed in worlds:
            out = Path(folder) / f"{preset}-{seed}"
            simulate(preset, episodes, seed, out, rollouts=0, jobs=jobs)
            files.append(out / "events.jsonl")
        dataset = build(files, policy=POLICY, n_jobs=jobs)
        fitted = fit(dataset, POLICY, Options(budget=BUDGET, jobs=jobs))
        made = Path(folder) / "release"
        digest = release(fitted, dataset, None, made)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(made, place / folder_name(digest))
    return digest


if __name__ == "__main__":
    print(main())  # noqa: T201
