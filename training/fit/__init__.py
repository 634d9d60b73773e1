"""From the landmark table to a release: an additive scorecard, calibrated, with its line, its offsets and its card."""
