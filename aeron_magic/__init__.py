"""Talk to an AI service from a notebook."""
