"""From the course of an episode to a score: features, scorecard, reasons. Knows care."""
