"""Evaluation: what a release is worth on a set of events, as figures (`report.json`) and as a page (`report.html`)."""

from training.evaluate.alerts import Raised
from training.evaluate.definitions import outcomes
from training.evaluate.oracle import Moment
from training.evaluate.page import page
from training.evaluate.report import Report, encode, evaluate

__all__ = ["Moment", "Raised", "Report", "encode", "evaluate", "outcomes", "page"]
