"""Why a vocabulary may have other ids than it should."""

from collections.abc import Sequence


def other_size(seen: int, text: str) -> str:
    """Return why a vocabulary of the text may have that many entries."""
    C = len(set(text))
    if seen < C:
        return "characters of the text are left out, or two count as one: lower-cased, stripped"
    if seen == len(text):
        return "a character that occurs again is counted again"
    if seen == C + 1:
        return "the vocabulary has an entry that is no character of the text, such as <unk>"
    return "the vocabulary has entries that are no characters of the text"


def other_count(ids: Sequence[int], text: str) -> str:
    """Return why there may be more ids than characters, or fewer."""
    if len(ids) > len(text):
        return "encode adds a token, as for the start of a text, or cuts characters up"
    return "encode drops characters, or makes one token of several"


def out_of_range(ids: Sequence[int], text: str) -> str:
    """Return why an id may not be a place in the vocabulary."""
    if set(ids) == set(range(1, len(set(text)) + 1)):
        return "ids are counted from 1"
    return "encode gives ids that are not places in the vocabulary"
