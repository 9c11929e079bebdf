"""The chat panel: widget, controller, messages, and the front end in ``static/``."""
