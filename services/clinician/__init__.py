"""The clinician's side: who may be slipping away and why, what to try, and the answers that flow back through the log."""
