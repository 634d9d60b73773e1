"""Monitoring of a release in use over a window of events: drift, calibration, what became of alerts, gaps in the data."""

from training.monitor.page import page, words
from training.monitor.report import Report, Subject, Window, monitor

__all__ = ["Report", "Subject", "Window", "monitor", "page", "words"]
