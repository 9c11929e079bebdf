"""Outputs of replies and messages in cells and terminals."""
