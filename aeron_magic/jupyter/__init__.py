"""The IPython extension: magics, commands, displays and the chat panel."""
