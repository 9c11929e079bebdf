"""The language of a magic line: options, parser, help, completion. No IPython."""
