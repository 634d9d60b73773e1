"""How near a model comes to the best that can be done, where data are simulated and the true risk is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from keepwell.endings import DAY
from training.evaluate.cells import LANDMARK_SESSIONS, LEAST_EVENTS
from training.evaluate.metrics import Estimate, Ranking, Vector, auroc_difference, discrimination, precision_at
from training.evaluate.rules import RULES

SILENCE: Final = DAY
"""A moment so long after the last thing that happened is one of silence."""
MODEL, UNKNOWN, KNOWN = "model", "clinician_unknown", "clinician_known"
RISKS: Final = (MODEL, UNKNOWN, KNOWN)


class Moment(NamedTuple):
    """A moment of which the truth was told: risks at 30 days. `at` in µs; `target` is None where undetermined."""

    episode: str
    at: int
    target: float | None
    model: float | None
    clinician_unknown: float
    clinician_known: float


class NearOracle(msgspec.Struct, frozen=True, kw_only=True):
    """At one landmark: AUROC of the model and of both oracles, and the model's share of their excess over .5."""

    landmark: str
    rows: int
    positive: int
    auroc: Mapping[str, Estimate]
    behind: Estimate
    """AUROC of the model less that of the oracle that does not know the clinician."""
    share_of_unknown: float | None
    share_of_known: float | None
    gap: str | None = None


class OracleRule(msgspec.Struct, frozen=True, kw_only=True):
    """At a rule's own burden: precision of the rule, the model and both oracles."""

    rule: str
    flagged: float
    precision: Mapping[str, float]
    model_of_oracle: float | None
    """Precision of the model in parts of that of the oracle that knows the clinician."""


class Oracle(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison with the truth. `sampled`: every how many-th moment of the truth was scored."""

    rows: int
    sampled: int
    landmarks: tuple[NearOracle, ...]
    rules: tuple[OracleRule, ...]


def compared(moments: Sequence[Moment], sampled: int, frame: pd.DataFrame, verdicts: Mapping[str, Vector]) -> Oracle:
    """The comparison, over the moments whose outcome is determined. `verdicts` are the rules' on the rows of `frame`."""
    table = _joined(moments, frame)
    client = table["client"].cat.codes.to_numpy(dtype=np.int64)
    target = table["target"].to_numpy(dtype=np.float64)
    risks = {name: table[name].to_numpy(dtype=np.float64) for name in RISKS}
    landmark = table["landmark"].to_numpy(dtype=object)
    names = ["pooled", "booking", *(f"session-{n}" for n in LANDMARK_SESSIONS), "missed-10d"]
    near = []
    for name in names:
        rows = np.ones(len(table), np.bool_) if name == "pooled" else landmark == name
        near.append(_near(name, target[rows], {key: risk[rows] for key, risk in risks.items()}, client[rows]))
    row = table["row"].to_numpy(dtype=np.int64)
    return Oracle(
        rows=len(table),
        sampled=sampled,
        landmarks=tuple(near),
        rules=tuple(
            found
            for rule in RULES
            if not rule.ranks and (found := _at_rule(rule.name, verdicts[rule.name][row], target, risks)) is not None
        ),
    )


def _joined(moments: Sequence[Moment], frame: pd.DataFrame) -> pd.DataFrame:
    """The determined moments with the row of the table before each: what had happened by then is the same."""
    kept = [moment for moment in moments if moment.target is not None and moment.model is not None]
    left = pd.DataFrame(kept, columns=list(Moment._fields))
    left["episode"] = left["episode"].astype(object)
    left["at"] = left["at"].astype("int64")
    right = pd.DataFrame(
        {
            "episode": frame["episode"].astype(str).astype(object),
            "at": frame["as_of"].astype("int64"),
            "row_at": frame["as_of"].astype("int64"),
            "row": np.arange(len(frame)),
            "client": frame["client"],
            "session": frame["session"],
            "missed": frame["last_visit_missed"],
        }
    )
    found = pd.merge_asof(
        left.sort_values("at", kind="stable"), right.sort_values("at", kind="stable"), on="at", by="episode"
    ).dropna(subset=["row"])
    silent = (found["missed"] == 1) | (found["at"] - found["row_at"] > SILENCE)
    spoken = np.where(found["session"] == 0, "booking", "session-" + found["session"].astype("Int64").astype(str))
    found["landmark"] = np.where(silent, "missed-10d", spoken)
    return found


def _near(
    name: str, target: Vector, risks: Mapping[str, Vector], client: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> NearOracle:
    positive = int(target.sum())
    if min(positive, len(target) - positive) < LEAST_EVENTS:
        return NearOracle(
            landmark=name, rows=len(target), positive=positive, auroc={}, behind=Estimate(value=None),
            share_of_unknown=None, share_of_known=None, gap=f"fewer than {LEAST_EVENTS} moments of either outcome",
        )  # fmt: skip
    return NearOracle(
        landmark=name,
        rows=len(target),
        positive=positive,
        auroc={key: discrimination(target, risk, client)[0] for key, risk in risks.items()},
        behind=auroc_difference(target, risks[MODEL], risks[UNKNOWN], client),
        share_of_unknown=_share(target, risks[MODEL], risks[UNKNOWN]),
        share_of_known=_share(target, risks[MODEL], risks[KNOWN]),
    )


def _share(target: Vector, model: Vector, oracle: Vector) -> float | None:
    one = np.ones(len(target))
    mine, best = Ranking(target, model).judge(one), Ranking(target, oracle).judge(one)
    if mine is None or best is None or best.auroc <= 0.5:
        return None
    return (mine.auroc - 0.5) / (best.auroc - 0.5)


def _at_rule(name: str, flags: Vector, target: Vector, risks: Mapping[str, Vector]) -> OracleRule | None:
    flagged = float(flags.sum())
    if flagged == 0:
        return None
    precision = {key: precision_at(target, risk, flagged) for key, risk in risks.items()}
    best = precision[KNOWN]
    return OracleRule(
        rule=name,
        flagged=flagged / len(target),
        precision={"rule": float(target[flags == 1].mean()), **precision},
        model_of_oracle=precision[MODEL] / best if best > 0 else None,
    )
