"""The vocabulary: each distinct character of a text has a number, and the text comes back."""

import re
from functools import partial
from itertools import product

from reference.notes import Figures
from reference.spec.cases import Nothing, StrangerCase, TextCase, notes_corpus
from reference.spec.causes import vocabulary as causes
from reference.spec.clause import CHOICE, PROFILES, SHOULD, clause
from reference.spec.expect import expect, expect_equal, expect_refused
from reference.spec.measures import expect_no_draws
from reference.spec.subject import Part, Subject

VOCABULARY = (Part.VOCABULARY,)
AGAIN = ", asked a second time"
"""Said of a question that the same vocabulary has answered before."""


@clause("vocabulary.size", VOCABULARY, PROFILES)
def size(subject: Subject, case: TextCase) -> None:
    """The vocabulary has one id for each distinct character of its text, and no more.

    Formula: C = |{characters of the text}|.
    Source: vocab_size > num_ids > 65 unique ids
    """
    two = [subject.vocabulary(case.text) for _ in range(2)]
    what = f"vocab_size of {case.text!r}"
    for vocabulary, time in product(two, ("", AGAIN)):
        seen = len(vocabulary)
        cause = partial(causes.other_size, seen, case.text)
        expect_equal(seen, len(set(case.text)), what=what + time, cause=cause)


@clause("vocabulary.one-per-character", VOCABULARY, PROFILES, needs=("vocabulary.size",))
def one_per_character(subject: Subject, case: TextCase) -> None:
    """Encoding gives one id for each character, each in 0 to C - 1.

    Source: (B, T) > indices > indexes > token
    Erratum: the notes' prose says "words"; the tokens of their data are characters.
    """
    vocabulary, C = subject.vocabulary(case.text), len(set(case.text))
    for time in ("", AGAIN):
        ids, of = vocabulary.encode(case.text), f"ids of {case.text!r}{time}"
        cause = partial(causes.other_count, ids, case.text)
        expect_equal(len(ids), len(case.text), what=f"number of {of}", cause=cause)
        kept = all(0 <= number < C for number in ids)
        cause = partial(causes.out_of_range, ids, case.text)
        expect(kept, what=of, expected=f"each in 0 to {C - 1}", seen=ids, cause=cause)


@clause("vocabulary.round-trip", VOCABULARY, PROFILES, needs=("vocabulary.one-per-character",))
def round_trip(subject: Subject, case: TextCase) -> None:
    """Decoding what was encoded gives the text back, character for character.

    Formula: decode(encode(s)) = s.
    Source: print(decode(m.generate(
    """
    vocabulary = subject.vocabulary(case.text)
    cause = "encode or decode changes, drops or moves characters, or puts some in between"
    for time in ("", AGAIN):
        decoded = vocabulary.decode(vocabulary.encode(case.text))
        expect_equal(decoded, case.text, what=f"decode(encode(text)){time}", cause=cause)


@clause("vocabulary.stream", VOCABULARY, PROFILES, level=SHOULD, needs=("vocabulary.round-trip",))
def stream(subject: Subject, case: TextCase) -> None:
    """Making a vocabulary, encoding and decoding leave the random streams as they were.

    Source: set the seed for generating random numbers
    """

    def there_and_back() -> None:
        vocabulary = subject.vocabulary(case.text)
        for _ in range(2):
            vocabulary.decode(vocabulary.encode(case.text))
            len(vocabulary)

    expect_no_draws(there_and_back, what="encoding and decoding a text")


@clause("vocabulary.sorted-unique", VOCABULARY, PROFILES, needs=("vocabulary.round-trip",))
def sorted_unique(subject: Subject, case: TextCase) -> None:
    """A character's id is its place among the distinct characters, sorted by code point.

    Formula: encode(sorted(set(s))) = 0, 1, ..., C - 1.
    Source: vocab_size > num_ids > 65 unique ids
    """
    characters = "".join(sorted(set(case.text)))
    vocabulary, numbers = subject.vocabulary(case.text), list(range(len(characters)))
    cause = "the characters are not numbered in sorted order, so ids differ between programs"
    for time in ("", AGAIN):
        ids = list(vocabulary.encode(characters))
        expect_equal(ids, numbers, what=f"ids of {characters!r}{time}", cause=cause)


@clause("vocabulary.unknown-character", VOCABULARY, PROFILES, needs=("vocabulary.round-trip",))
def unknown_character(subject: Subject, case: StrangerCase) -> None:
    """A character that the vocabulary lacks is refused, and the error names it.

    Source: vocab_size > num_ids > 65 unique ids
    """
    message = refusal(subject, case)
    expect(
        names(message, case.other[case.place]),
        what=f"encode({case.other!r}) over {case.text!r}",
        expected=f"an error that names {case.other[case.place]!r}",
        seen=message,
        cause="the error for an unknown character does not say which one it is",
    )


def refusal(subject: Subject, case: StrangerCase) -> str:
    """Return the message of the second error for the character that the vocabulary lacks."""
    encode = partial(subject.vocabulary(case.text).encode, case.other)
    what = f"encode({case.other!r}) over {case.text!r}"
    cause = "a character that the vocabulary lacks is dropped or replaced without a word"
    expect_refused(encode, what=what, cause=cause)
    return expect_refused(encode, what=what + AGAIN, cause=cause)


def names(message: str, character: str) -> bool:
    """Return whether an error names a character: as it is, escaped, or by its code point."""
    escapes = (ascii(character)[1:-1], f"u+{ord(character):04x}", f"0x{ord(character):x}")
    return character in message or any(form in message.lower() for form in escapes)


@clause(
    "vocabulary.unknown-character.place",
    VOCABULARY,
    PROFILES,
    level=CHOICE,
    needs=("vocabulary.unknown-character",),
)
def unknown_character_place(subject: Subject, case: StrangerCase) -> str:
    """The error for an unknown character may also say where in the text it stands.

    Source: vocab_size > num_ids > 65 unique ids
    """
    said = re.search(rf"(?<!\w){case.place}(?!\w)", refusal(subject, case))
    return "says where" if said else "does not say where"


@clause("vocabulary.unknown-id", VOCABULARY, PROFILES, needs=("vocabulary.round-trip",))
def unknown_id(subject: Subject, case: TextCase) -> None:
    """An id below 0, or of C and above, is refused when it is decoded; the ids between are not.

    Source: vocab_size > num_ids > 65 unique ids
    """
    vocabulary = subject.vocabulary(case.text)
    C = len(set(case.text))
    causes_by_id = {
        C: "an id past the end of the vocabulary is decoded all the same",
        -1: "an id below 0 is counted from the end, as list[-1] is, or decoded some other way",
    }
    for time in ("", AGAIN):
        for number, cause in causes_by_id.items():
            what = f"decode([{number}]) with {C} characters{time}"
            expect_refused(partial(vocabulary.decode, [number]), what=what, cause=cause)
        expect_equal(
            sorted(vocabulary.decode(list(range(C)))),
            sorted(set(case.text)),
            what=f"the characters of the ids 0 to {C - 1}{time}",
            cause="ids of the vocabulary are not decoded",
        )


@clause("vocabulary.documented", VOCABULARY, PROFILES, needs=("vocabulary.sorted-unique",))
def documented(subject: Subject, case: Nothing) -> str:
    """On the text of the notes there are 65 ids, and the start token 0 is a line's end.

    Source: vocab_size > num_ids > 65 unique ids
    """
    figures = Figures()
    vocabulary = subject.vocabulary(notes_corpus().vocabulary.characters)
    expect_equal(
        (len(vocabulary), vocabulary.decode([0])),
        (figures.vocab_size, figures.sample[0]),
        what="vocab_size, and the character of token 0, on the text of the notes",
        cause="the vocabulary has no room for 65 characters, or does not begin with a line's end",
    )
    return "as documented"
