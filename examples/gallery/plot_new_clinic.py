"""
A release for a new clinic
==========================

The release that is shipped knows nothing of your clinic: its percentages are off there, and a line that gave few
alerts elsewhere may give many. Both are mended with far fewer people than a fit needs. The clinic here is simulated.
"""

# %%
# A simulated clinic of the world `shifted`. Half of its people are there to recalibrate by, the other half to see
# what came of it.
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from keepwell.scoring.scorecard import HEADLINE
from keepwell.scoring.scorer import Scorer
from models.release import default
from training.dataset import build
from training.dataset.split import hold_out
from training.fit.line import line_of
from training.fit.measures import measures
from training.fit.recalibrate import recalibrate
from training.fit.sample import sample_of
from training.simulate import simulate

with TemporaryDirectory() as folder:
    simulate("shifted", episodes=400, seed=2, out=Path(folder), rollouts=0)
    clinic = build([Path(folder) / "events.jsonl"])
shipped = default()
new, others = (replace(clinic, frame=clinic.frame[side]) for side in hold_out(clinic.frame, share=0.5))

# %%
# Recalibration moves the intercept and the slope of each output, towards the data as far as these can carry it. With
# few stops it moves little, with fewer than twenty it refuses.
found = recalibrate(new, shipped.scorer)
print(f"{found.stops} simulated episodes stopped")
for name, shift in found.shifts.items():
    print(f"{name:5} intercept {shift.intercept:+.2f}  slope {shift.slope:.2f}")


# %%
# What it is worth on the clinic's other people. A slope of 1 and an intercept of 0 are best. Who is ranked above whom
# stays the same, and so does the AUROC. With so few, chance has a large part in all of it: try another seed.
def headline(table, card):
    """The risk of stopping within 30 days, of every row."""
    return Scorer(card).risks(table.matrix([term.feature for term in card.terms]))[:, HEADLINE]


sample = sample_of(others)
settled = sample.known(HEADLINE)
target = sample.targets[settled, HEADLINE]
for name, card in (("as it was", shipped.scorer.card), ("recalibrated", found.card)):
    one = measures(target, headline(others, card)[settled])
    print(f"{name:13} slope {one.slope:.2f}  intercept {one.intercept:+.2f}", end="")
    print(f"  expected calibration error {one.ece:.3f}  AUROC {one.auroc:.2f}")

# %%
# The line: how many alerts can a clinician take up in a week? Caseloads are small in this clinic, so budgets are too.
# Each gives a line, and what it would have been worth on the same simulated courses. More alerts find more of those
# who stop, and are more often needless. Nobody but the clinic can say where between the two it wants to be.
print("budget    line  alerts/clinician-week  of 100 alerts, followed by a stop  of 100 stops, found")
risk = headline(new, found.card)
for budget in (0.02, 0.05, 0.1):
    line = line_of(sample_of(new), risk, shipped.policy, budget, None)
    precision, recall = 100 * (line.precision or 0), 100 * (line.recall or 0)
    print(f"{budget:6}  {line.line:6.2f}  {line.alerts_per_clinician_week:21.2f}  {precision:33.0f}  {recall:19.0f}")
