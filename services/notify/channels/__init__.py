"""Where alerts can go: one file a channel, and what sending over HTTP needs to be safe."""
