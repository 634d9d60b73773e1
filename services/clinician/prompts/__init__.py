"""Prompts: one digest before the first session of the day, few pushes, and mails about safety, none with clinical content."""
