"""Conversations as trees of turns: positions, names, the local history, export."""
