"""
Does the table know its answers?
================================

A model of who stops can look splendid because a feature has seen the future. The audit tries to show that, in three
ways. It is run here on a table of simulated people, first as it is, then with a leak put in by hand.
"""

# %%
# A table, with the events that it was made from. The audit changes these and replays them.
from pathlib import Path
from tempfile import TemporaryDirectory

from keepwell.care.instruments import Instruments
from training.dataset import build
from training.dataset.replay import Replayer
from training.dataset.sources import gather
from training.leakage import CEILING, dealt, moved_by_the_future, suspects
from training.simulate import simulate

with TemporaryDirectory() as folder:
    simulate("community", episodes=80, seed=3, out=Path(folder), rollouts=0)
    files = [Path(folder) / "events.jsonl"]
    table = build(files)
    gathered = gather(files, (), None, {})
print(f"{len(table.frame)} rows of {table.about.counts.clients} simulated people")

# %%
# **The future.** What comes after a moment is removed, thinned, replaced by another person's events, or taken back.
# No feature of an earlier row may move.
replayer = Replayer(Instruments(), gathered.now)
moved, compared = moved_by_the_future(gathered, replayer)
print(f"{compared} rows compared, features that moved: {moved or 'none'}")

# %%
# **The answers.** Targets are dealt out to other people. A fit to them must be worth nothing on people held out: an
# AUROC about .5.
deals = dealt(table.frame, "30d")
print(f"mean AUROC of {len(deals)} fits to dealt-out targets: {sum(deals) / len(deals):.2f}")

# %%
# **The tell-tale column.** A single feature that ranks who stops better than any honest signal can is named.
print(f"features above {CEILING}: {[suspect.feature for suspect in suspects(table.frame)] or 'none'}")

# %%
# Now a leak, as it happens in practice: a column is taken from today's file, where the reason of discharge stands,
# and not from what was known at the moment of the row.
leaky = table.frame.copy()
leaky["closed_for_absence"] = leaky["ending"].isin(["dropout", "improved_leaver"]).astype(float)
for suspect in suspects(leaky, ["closed_for_absence"]):
    print(f"{suspect.feature} alone ranks {suspect.output} with an AUROC of {suspect.auroc:.2f}")
