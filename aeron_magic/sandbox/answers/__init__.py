"""The sandbox's answers: intent of a question, search, and the handbook's pages."""
