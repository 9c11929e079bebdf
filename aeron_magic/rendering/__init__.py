"""Reply text to HTML, Markdown and plain text. Pure functions; replies are hostile input."""
