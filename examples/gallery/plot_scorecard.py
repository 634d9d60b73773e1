"""
Train a scorecard, and read it
==============================

The model is a sum of step functions, one a feature, so all of it can be read. Here one is trained on simulated
people, and we look at what it learnt and how one risk comes about.
"""

# %%
# Events to a table, and a table to a model. The line is chosen by a budget: alerts per clinician-week.
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from keepwell.scoring.features import BY_NAME
from keepwell.scoring.scorecard import HEADLINE
from keepwell.scoring.scorer import Scorer
from models.release import default
from training.dataset import build
from training.fit.fit import Options, fit
from training.simulate import simulate

with TemporaryDirectory() as folder:
    simulate("community", episodes=400, seed=5, out=Path(folder), rollouts=0)
    table = build([Path(folder) / "events.jsonl"])
fitted = fit(table, default().policy, Options(budget=0.25))
found = fitted.report
print(f"{found.rows} rows of {found.clients} simulated people, {found.stops} episodes stopped")
print(f"{len(fitted.card.terms)} terms")

# %%
# How good is it, on people that it had not seen? With so few, do not expect much; an AUROC above .85 would be a leak.
for name, one in found.measures.items():
    print(f"{name:5} AUROC {one.auroc:.2f}  calibration slope {one.slope:.2f}", end="")
    print(f"  expected calibration error {one.ece:.3f}")

# %%
# What it learnt: the three terms that can move the risk of stopping within 30 days most. Points are log-odds against
# the average row; a value from one edge to the next takes the points between them. Steps of less than a twentieth are
# left out here.


def spread(term):
    """How far apart the points of a term lie at the headline."""
    points = [row[HEADLINE] for row in term.points]
    return max(points) - min(points)


def bar(points):
    """Points as a bar to the left or to the right of the average."""
    length = round(10 * abs(points))
    return f"{'█' * length if points < 0 else '':>12}│{'█' * length if points > 0 else ''}"


for term in sorted(fitted.card.terms, key=spread, reverse=True)[:3]:
    feature = BY_NAME[term.feature]
    print(f"{feature.name} ({feature.unit})")
    shown = np.inf
    for low, row in zip((None, *term.edges), term.points, strict=True):
        if abs(row[HEADLINE] - shown) >= 0.05:
            shown = row[HEADLINE]
            print(f"{'below' if low is None else f'from {low:g}':>12} {shown:+.2f} {bar(shown)}")
    print(f"{'missing':>12} {term.missing[HEADLINE]:+.2f} {bar(term.missing[HEADLINE])}\n")

# %%
# One risk, taken apart. The base and the points of all terms are the log-odds: exactly, nothing is left over.
scorer = Scorer(fitted.card)
values = table.matrix([term.feature for term in fitted.card.terms])
risks = scorer.risks(values)[:, HEADLINE]
row = int(np.argsort(risks)[-len(risks) // 20])
logit = fitted.card.base[HEADLINE]
parts = {}
for term, value in zip(fitted.card.terms, values[row], strict=True):
    points = term.missing if np.isnan(value) else term.points[np.searchsorted(term.edges, value, side="right")]
    parts[term.feature] = points[HEADLINE]
    logit += points[HEADLINE]
print(f"risk within 30 days: {risks[row]:.3f}; from its parts: {1 / (1 + np.exp(-logit)):.3f}")
for name in sorted(parts, key=lambda name: -abs(parts[name]))[:5]:
    print(f"{parts[name]:+.2f}  {BY_NAME[name].name}")
