"""The one loop that every service runs over a log, and what it needs around it."""
