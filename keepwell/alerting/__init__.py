"""From a score to what a clinician is told: when, in which words, with what to try. Knows scoring."""
