"""Stands for a package that takes a second to import; jsonschema does without it."""

raise ImportError("not needed: no notebook of the tests has an IRI")
