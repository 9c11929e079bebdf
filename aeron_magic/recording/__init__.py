"""Recorded turns: one turn, the flows that record and replay it, the modes, and the file."""
