"""The log and the worker: one port, three backends, one loop."""
