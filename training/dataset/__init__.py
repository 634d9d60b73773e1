"""The landmark table by replay: one row an episode and moment, through the very fold and features that run live."""

from training.dataset.builder import build
from training.dataset.sources import FromLog, InMemory, archive
from training.dataset.table import FACT_COLUMNS, FEATURE_COLUMNS, TARGET_COLUMNS, Dataset

__all__ = ["FACT_COLUMNS", "FEATURE_COLUMNS", "TARGET_COLUMNS", "Dataset", "FromLog", "InMemory", "archive", "build"]
