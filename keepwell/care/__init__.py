"""An episode of care: a sorted history, and the course, alliance and endings that follow from it. Knows the contract."""
