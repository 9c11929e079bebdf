"""What is known of each service before it is asked: what it is called, and what it can do.

A service's own file knows how things are done. Who only has to know whether they can be (the tree
of turns, a batch, the panel) looks here, and not at the service's name.
"""

from __future__ import annotations

__all__ = ["INTRODUCING", "KEEPING", "NAMES", "ONE_LINE"]

NAMES = {"aeronpay": "AeronPay", "chatzy": "Chatzy"}
"""The services, and what a reader knows them by."""

KEEPING = ("aeronpay",)
"""Those from which a reply can be fetched by its token."""

ONE_LINE = ("chatzy",)
"""Those that keep one line for each conversation, and cannot go back in it."""

INTRODUCING = ("chatzy",)
"""Those that have something to say before the first question."""
