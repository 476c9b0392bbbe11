"""The vocabulary: each distinct character of a text has a number, and the text comes back."""

import re

from reference.notes import Figures
from reference.spec.cases import Nothing, StrangerCase, TextCase, notes_corpus
from reference.spec.clause import CHOICE, PROFILES, clause
from reference.spec.expect import expect, expect_equal, expect_refused
from reference.spec.subject import Part, Subject

VOCABULARY = (Part.VOCABULARY,)


@clause("vocabulary.size", VOCABULARY, PROFILES)
def size(subject: Subject, case: TextCase) -> None:
    """The vocabulary has one id for each distinct character of its text, and no more.

    Formula: C = |{characters of the text}|.
    Source: vocab_size > num_ids > 65 unique ids
    """
    C = len(set(case.text))
    seen = len(subject.vocabulary(case.text))
    causes = {
        C + 1: "the vocabulary has an entry that is no character of the text, such as <unk>",
        len(case.text): "a character that occurs again is counted again",
    }
    expect_equal(
        seen,
        C,
        what=f"vocab_size of {case.text!r}",
        cause="characters of the text are left out, or two count as one: lower-cased, stripped"
        if seen < C
        else causes.get(seen, "the vocabulary has entries that are no characters of the text"),
    )


@clause("vocabulary.one-per-character", VOCABULARY, PROFILES, needs=("vocabulary.size",))
def one_per_character(subject: Subject, case: TextCase) -> None:
    """Encoding gives one id for each character, each in 0 to C - 1.

    Source: (B, T) > indices > indexes > token
    Erratum: the notes' prose says "words"; the tokens of their data are characters.
    """
    ids = subject.vocabulary(case.text).encode(case.text)
    C = len(set(case.text))
    expect_equal(
        len(ids),
        len(case.text),
        what=f"number of ids of {case.text!r}",
        cause="encode adds a token, as for the start of a text, or cuts characters up"
        if len(ids) > len(case.text)
        else "encode drops characters, or makes one token of several",
    )
    expect(
        all(0 <= number < C for number in ids),
        what=f"ids of {case.text!r}",
        expected=f"each in 0 to {C - 1}",
        seen=ids,
        cause="ids are counted from 1"
        if set(ids) == set(range(1, C + 1))
        else "encode gives ids that are not places in the vocabulary",
    )


@clause("vocabulary.round-trip", VOCABULARY, PROFILES, needs=("vocabulary.one-per-character",))
def round_trip(subject: Subject, case: TextCase) -> None:
    """Decoding what was encoded gives the text back, character for character.

    Formula: decode(encode(s)) = s.
    Source: print(decode(m.generate(
    """
    vocabulary = subject.vocabulary(case.text)
    expect_equal(
        vocabulary.decode(vocabulary.encode(case.text)),
        case.text,
        what="decode(encode(text))",
        cause="encode or decode changes, drops or moves characters, or puts some in between",
    )


@clause("vocabulary.sorted-unique", VOCABULARY, PROFILES, needs=("vocabulary.round-trip",))
def sorted_unique(subject: Subject, case: TextCase) -> None:
    """A character's id is its place among the distinct characters, sorted by code point.

    Formula: encode(sorted(set(s))) = 0, 1, ..., C - 1.
    Source: vocab_size > num_ids > 65 unique ids
    """
    characters = "".join(sorted(set(case.text)))
    expect_equal(
        list(subject.vocabulary(case.text).encode(characters)),
        list(range(len(characters))),
        what=f"ids of {characters!r}",
        cause="the characters are not numbered in sorted order, so ids differ between programs",
    )


@clause("vocabulary.unknown-character", VOCABULARY, PROFILES, needs=("vocabulary.round-trip",))
def unknown_character(subject: Subject, case: StrangerCase) -> None:
    """A character that the vocabulary lacks is refused, and the error names it.

    Source: vocab_size > num_ids > 65 unique ids
    """
    vocabulary = subject.vocabulary(case.text)
    stranger = case.other[case.place]
    what = f"encode({case.other!r}) over {case.text!r}"
    message = expect_refused(
        lambda: vocabulary.encode(case.other),
        what=what,
        cause="a character that the vocabulary lacks is dropped or replaced without a word",
    )
    expect(
        names(message, stranger),
        what=what,
        expected=f"an error that names {stranger!r}",
        seen=message,
        cause="the error for an unknown character does not say which one it is",
    )


def names(message: str, character: str) -> bool:
    """Tell whether an error names a character: as it is, escaped, or by its code point."""
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
    vocabulary = subject.vocabulary(case.text)
    message = expect_refused(
        lambda: vocabulary.encode(case.other), what="encode", cause="an unknown character passes"
    )
    said = re.search(rf"(?<!\w){case.place}(?!\w)", message)
    return "says where" if said else "does not say where"


@clause("vocabulary.unknown-id", VOCABULARY, PROFILES, needs=("vocabulary.round-trip",))
def unknown_id(subject: Subject, case: TextCase) -> None:
    """An id below 0, or of C and above, is refused when it is decoded; the ids between are not.

    Source: vocab_size > num_ids > 65 unique ids
    """
    vocabulary = subject.vocabulary(case.text)
    C = len(set(case.text))
    for number, cause in (
        (C, "an id past the end of the vocabulary is decoded all the same"),
        (-1, "an id below 0 is counted from the end, as list[-1] is, or decoded some other way"),
    ):
        expect_refused(
            lambda number=number: vocabulary.decode([number]),  # type: ignore[misc]  # bound now
            what=f"decode([{number}]) with {C} characters",
            cause=cause,
        )
    expect_equal(
        sorted(vocabulary.decode(list(range(C)))),
        sorted(set(case.text)),
        what=f"the characters of the ids 0 to {C - 1}",
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
