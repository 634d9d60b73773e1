"""Evaluation: what a release is worth on a set of events, as figures (`report.json`) and as a page (`report.html`)."""

from training.evaluate.definitions import outcomes
from training.evaluate.page import page
from training.evaluate.replays import AlertMoment, replayed
from training.evaluate.report import Evaluation, Evidence, JudgedLog, encode, evaluate
from training.evaluate.truth import Moment, moments, read_truths

__all__ = [
    "AlertMoment",
    "Evaluation",
    "Evidence",
    "JudgedLog",
    "Moment",
    "encode",
    "evaluate",
    "moments",
    "outcomes",
    "page",
    "read_truths",
    "replayed",
]
