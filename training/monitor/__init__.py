"""Monitoring of a release in use over a window of events: drift, calibration, what became of alerts, gaps in the data."""

from training.monitor.page import page, words
from training.monitor.report import Monitoring, Subject, Window, monitor

__all__ = ["Monitoring", "Subject", "Window", "monitor", "page", "words"]
