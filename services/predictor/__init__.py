"""Episode events in, scores and alerts out."""
