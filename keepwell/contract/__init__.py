"""The outside contract as types: events, outputs, control events, words and schemas. Knows nothing else."""
