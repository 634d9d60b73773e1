"""Erasures carried out: deletions written, bytes removed."""
