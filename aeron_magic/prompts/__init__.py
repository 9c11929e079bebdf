"""Values of the notebook in a prompt: ``{{path}}`` placeholders and values as text."""
