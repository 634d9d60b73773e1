"""How near a model comes to the best that can be done, where data are simulated and the true risk is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepwell.care.moments import ON_THE_WAY_OUT
from keepwell.contract.words import HORIZONS
from training.evaluate.burden import AFTER_SESSION, LANDMARKS, MODEL, AtBurden, at_burden
from training.evaluate.cells import too_few
from training.evaluate.metrics import (
    NONE,
    Estimate,
    Ints,
    Vector,
    compared,
    difference,
    discrimination,
    share_of_excess,
)
from training.evaluate.moments import AFTER_MISSED, POOLED, due_after_miss, landmarks
from training.evaluate.rules import RULES
from training.evaluate.truth import Moment
from training.fit.sample import codes_of

UNKNOWN, KNOWN = "clinician_unknown", "clinician_known"
ORACLES: Final = (UNKNOWN, KNOWN)
"""Who knows the generator, without and with the clinician's effect."""
RISKS: Final = (MODEL, *ORACLES)
HEADLINE: Final = "30d"


class NearOracle(msgspec.Struct, frozen=True, kw_only=True):
    """At one horizon and landmark: AUROC of the model and of both oracles (`model`, `clinician_unknown`, `clinician_known`);
    `share`: the model's part of what each oracle has above .5; `behind`: its AUROC less that of each. `positive`: stops."""

    horizon: str
    landmark: str
    title: str
    rows: int
    clients: int
    positive: int
    auroc: Mapping[str, Estimate] = {}
    share: Mapping[str, Estimate] = {}
    behind: Mapping[str, Estimate] = {}
    gap: str | None = None


class TruthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison with the truth, over the `rows` of the `told` moments that the release has a risk for. `pooled` are all
    of them; `unnamed` of them are at no landmark, such as ten days after one missed visit when another was missed since."""

    told: int
    rows: int
    unnamed: int
    near: tuple[NearOracle, ...]
    rules: tuple[AtBurden, ...]

    def at(self, horizon: str, landmark: str) -> NearOracle:
        """The figures of a horizon and landmark. Raises `StopIteration` where there are none."""
        return next(one for one in self.near if (one.horizon, one.landmark) == (horizon, landmark))


def oracle(moments: Sequence[Moment], frame: pd.DataFrame, verdicts: Mapping[str, Vector]) -> TruthCheck:
    """The comparison. `verdicts` are the rules' on the rows of the landmark table `frame`."""
    joined = named(moments, frame)
    scored = [moment for moment in moments if moment.model is not None]
    kept = [scored[place] for place in joined["moment"]]
    titles = {group.name: group.title for group in landmarks(frame)}
    name = joined["landmark"].to_numpy(dtype=object)
    client = codes_of(joined["client"])
    near = []
    for column, horizon in enumerate(HORIZONS):
        target = np.array([_number(moment.targets[column]) for moment in kept])
        risks = {which: np.array([getattr(moment, which)[column] for moment in kept]) for which in RISKS}
        for landmark in (POOLED, *titles):
            rows = ~np.isnan(target) & ((name == landmark) | (landmark == POOLED))
            title = titles.get(landmark, "All moments of the truth")
            some = {which: risk[rows] for which, risk in risks.items()}
            near.append(_near(horizon, landmark, title, target=target[rows], risks=some, client=client[rows]))
    return TruthCheck(
        told=len(moments), rows=len(kept), unnamed=int((name == "").sum()), near=tuple(near),
        rules=_at_rules(kept, name, client, {rule: of[joined["row"].to_numpy()] for rule, of in verdicts.items()}),
    )  # fmt: skip


def named(moments: Sequence[Moment], frame: pd.DataFrame) -> pd.DataFrame:
    """The moments that have a risk (`moment`: which of them), each with the `row` of the landmark table that tells what was
    known then, the newest one; its `client`; and the `landmark` that the moment is at, or an empty string.

    It is at the landmark of its row where it lies on the way out after it, and at that after a missed visit where it is due.
    """
    scored = [moment for moment in moments if moment.model is not None]
    left = pd.DataFrame(
        {
            "episode": pd.Series([moment.episode for moment in scored], dtype=object),
            "at": pd.to_datetime(pd.Series([moment.at for moment in scored], dtype="int64"), unit="us", utc=True),
            "moment": np.arange(len(scored)),
        }
    )
    label = np.full(len(frame), "", dtype=object)
    for group in landmarks(frame):
        if group.name != AFTER_MISSED:
            label[group.rows] = group.name
    right = pd.DataFrame(
        {
            "episode": frame["episode"].astype(str).astype(object),
            "at": frame["as_of"],
            "as_of": frame["as_of"],
            "due": due_after_miss(frame),
            "landmark": label,
            "row": np.arange(len(frame)),
            "client": frame["client"],
        }
    )
    left["at"] = left["at"].astype(right["at"].dtype)
    found = pd.merge_asof(
        left.sort_values("at", kind="stable"), right.sort_values("at", kind="stable"), on="at", by="episode"
    ).dropna(subset=["row"])
    found["row"] = found["row"].astype("int64")
    found["landmark"] = found["landmark"].where(
        found["at"] - found["as_of"] <= pd.Timedelta(microseconds=ON_THE_WAY_OUT), ""
    )
    found["landmark"] = found["landmark"].mask(found["at"] == found["due"], AFTER_MISSED)
    return found


def _near(
    horizon: str, landmark: str, title: str, *, target: Vector, risks: Mapping[str, Vector], client: Ints
) -> NearOracle:
    base = NearOracle(
        horizon=horizon, landmark=landmark, title=title, rows=len(target), clients=len(np.unique(client)),
        positive=int(target.sum()),
    )  # fmt: skip
    if (gap := too_few(target)) is not None:
        return msgspec.structs.replace(base, gap=gap)
    model = risks[MODEL]
    return msgspec.structs.replace(
        base,
        auroc={which: discrimination(target, risk, client)[0] for which, risk in risks.items()},
        share={which: compared(target, model, risks[which], client, share_of_excess) for which in ORACLES},
        behind={which: compared(target, model, risks[which], client, difference) for which in ORACLES},
    )


def _at_rules(
    moments: Sequence[Moment], name: NDArray[np.object_], client: Ints,
    verdicts: Mapping[str, Vector],
) -> tuple[AtBurden, ...]:  # fmt: skip
    column = list(HORIZONS).index(HEADLINE)
    target = np.array([_number(moment.targets[column]) for moment in moments])
    risks = {which: np.array([getattr(moment, which)[column] for moment in moments]) for which in RISKS}
    after = np.array([str(one).startswith("session-") for one in name], dtype=np.bool_)
    units = {AFTER_SESSION: after, LANDMARKS: name != ""}
    return tuple(
        at_burden(
            rule, unit, verdicts[rule.name][rows], {which: risk[rows] for which, risk in risks.items()},
            target=target[rows], client=client[rows],
        )
        for unit, where in units.items()
        for rows in [np.flatnonzero(where & ~np.isnan(target))]
        for rule in RULES
    )  # fmt: skip


def _number(value: int | None) -> float:
    return np.nan if value is None else float(value)


def share_of(near: NearOracle, which: str) -> Estimate:
    """The share of the excess of one oracle; nothing where there is a gap."""
    return near.share.get(which, NONE)
