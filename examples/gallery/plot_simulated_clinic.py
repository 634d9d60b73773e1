"""
A simulated clinic, and its log
===============================

Keepwell reads a log of events and nothing else. Here a small clinic is simulated; then we look at what its log holds,
follow one course through it, and count when people stop. All of it is simulated: nothing is about a real person.
"""

# %%
# The simulator writes events as any clinic would send them. The same preset, number and seed give the same bytes.
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from keepwell.contract.events import decode_accepted
from training.dataset import InMemory, build
from training.simulate import simulate

with TemporaryDirectory() as folder:
    simulate("clinic", episodes=200, seed=7, out=Path(folder), rollouts=0)
    events = [decode_accepted(line) for line in (Path(folder) / "events.jsonl").read_bytes().splitlines()]

types = pd.Series([event.type for event in events]).str.removeprefix("keepwell.").str.removesuffix(".v1")
print(types.value_counts().to_string())

# %%
# The landmark table is made by replaying that log through the code that scores live: a row after every event that
# matters, and after silences. The targets say what came of each row; *undetermined* ones are neither 0 nor 1.
table = build(InMemory(events))
rows = table.frame
print(f"{len(rows)} rows of {rows['episode'].nunique()} simulated episodes")
print(f"undetermined at 30 days: {table.about.counts.undetermined['30d']}")

# %%
# The course of one simulated person who stopped after the third session: what the log tells, day by day.
stopped = rows[rows["ending"] == "dropout"].groupby("episode", observed=True)["session"].max()
episode = stopped[stopped == 3].index[0]
course = [event for event in events if event.key == episode]
for event in course:
    day = (event.time - course[0].time).total_seconds() / 86_400
    told = getattr(event, "data", None)
    score = getattr(told, "scores", {}).get("total", "")
    name = event.type.removeprefix("keepwell.").removesuffix(".v1")
    print(f"day {day:5.1f}  {name:22} {getattr(told, 'instrument', '')} {score}".rstrip())

# %%
# And what the table makes of it. Late rows are worth little to a clinician who wants to act; early ones are harder to
# judge.
mine = rows[rows["episode"] == episode]
for _, row in mine.groupby("session").last().iterrows():
    day = (row["as_of"] - row["opened_at"]).total_seconds() / 86_400
    print(f"day {day:5.1f}  {row['kind']:15} stops within 14 days: {row['target_14d']:.0f}", end="")
    print(f"  30 days: {row['target_30d']:.0f}  60 days: {row['target_60d']:.0f}")

# %%
# When do people stop? Sessions attended by those who stopped, with most of them early, as in the literature (Swift &
# Greenberg 2012).
counts = stopped.clip(upper=12).value_counts().sort_index()
for sessions, people in counts.items():
    print(f"{sessions:2}{'+' if sessions == 12 else ' '} {'█' * people} {people}")
