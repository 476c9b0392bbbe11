"""The text of the notes, for the clauses that hold a subject against what they print."""

from functools import cache

from reference.corpus import Corpus, load_corpus


@cache
def notes_corpus() -> Corpus:
    """Give the embedded corpus, rebuilt once."""
    return load_corpus()
