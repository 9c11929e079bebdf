"""Checks: conversations with reference replies are asked again, and the answers are judged."""
