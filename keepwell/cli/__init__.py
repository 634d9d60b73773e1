"""The commands, one file each; the composition root that knows every service."""
