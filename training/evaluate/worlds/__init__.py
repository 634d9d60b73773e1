"""The leave-worlds-out judge: what a release, and what is fitted from it, is worth in simulated worlds that it never saw."""

from training.evaluate.worlds.table import WorldsTable
from training.evaluate.worlds.words import as_html, as_markdown

__all__ = ["WorldsTable", "as_html", "as_markdown"]
