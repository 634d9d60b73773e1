"""The log on one SQLite file."""
