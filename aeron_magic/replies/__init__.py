"""A reply: its text and status, how it is built from events, and what can be extracted from it."""
