"""Languages: what a person meant (`grammar`), what they are told (`catalogue`), and in which language (`tongue`).

Everything that is peculiar to one language is in its one file, `tongues/CODE.toml`: its name, the words of the grammar,
units with their plurals, and every sentence. A language is added by adding that file; the tests say what is missing.
"""
