"""The vocabulary: each distinct character of a text has a number, and the text comes back."""

import re
from collections.abc import Callable
from functools import partial

from reference.notes import Figures
from reference.spec.cases import Nothing, StrangerCase, TextCase, notes_corpus
from reference.spec.causes import vocabulary as causes
from reference.spec.clause import CHOICE, PROFILES, SHOULD, clause
from reference.spec.expect import expect, expect_equal, expect_refused, observe
from reference.spec.measures import expect_no_draws
from reference.spec.subject import Part, Subject, SubjectError, VocabularyLike

VOCABULARY = (Part.VOCABULARY,)


@clause("vocabulary.size", VOCABULARY, PROFILES)
def size(subject: Subject, case: TextCase) -> None:
    """The vocabulary has one id for each distinct character of its text, and no more.

    Formula: C = |{characters of the text}|.
    Source: vocab_size > num_ids > 65 unique ids
    """
    seen, what = len(subject.vocabulary(case.text)), f"vocab_size of {case.text!r}"
    cause = partial(causes.other_size, seen, case.text)
    expect_equal(seen, len(set(case.text)), what=what, cause=cause)


@clause("vocabulary.one-per-character", VOCABULARY, PROFILES, needs=("vocabulary.size",))
def one_per_character(subject: Subject, case: TextCase) -> None:
    """Encoding gives one id for each character, each in 0 to C - 1.

    Source: (B, T) > indices > indexes > token
    Erratum: the notes' prose says "words"; the tokens of their data are characters.
    """
    ids = subject.vocabulary(case.text).encode(case.text)
    what, cause = f"number of ids of {case.text!r}", partial(causes.other_count, ids, case.text)
    expect_equal(len(ids), len(case.text), what=what, cause=cause)
    C = len(set(case.text))
    kept = all(0 <= number < C for number in ids)
    what, cause = f"ids of {case.text!r}", partial(causes.out_of_range, ids, case.text)
    expect(kept, what=what, expected=f"each in 0 to {C - 1}", seen=ids, cause=cause)


@clause("vocabulary.round-trip", VOCABULARY, PROFILES, needs=("vocabulary.one-per-character",))
def round_trip(subject: Subject, case: TextCase) -> None:
    """Decoding what was encoded gives the text back, character for character.

    Formula: decode(encode(s)) = s.
    Source: print(decode(m.generate(
    """
    vocabulary = subject.vocabulary(case.text)
    decoded = vocabulary.decode(vocabulary.encode(case.text))
    cause = "encode or decode changes, drops or moves characters, or puts some in between"
    expect_equal(decoded, case.text, what="decode(encode(text))", cause=cause)


@clause("vocabulary.stream", VOCABULARY, PROFILES, level=SHOULD, needs=("vocabulary.round-trip",))
def stream(subject: Subject, case: TextCase) -> None:
    """Making a vocabulary, encoding and decoding leave the random streams as they were.

    Source: set the seed for generating random numbers
    """

    def there_and_back() -> str:
        vocabulary = subject.vocabulary(case.text)
        return vocabulary.decode(vocabulary.encode(case.text))

    expect_no_draws(there_and_back, what="encoding and decoding a text")


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
    message = refusal(subject, case)
    expect(
        names(message, case.other[case.place]),
        what=f"encode({case.other!r}) over {case.text!r}",
        expected=f"an error that names {case.other[case.place]!r}",
        seen=message,
        cause="the error for an unknown character does not say which one it is",
    )


def refusal(subject: Subject, case: StrangerCase) -> str:
    """Return the message of the error for the character that the vocabulary lacks."""
    return expect_refused(
        partial(subject.vocabulary(case.text).encode, case.other),
        what=f"encode({case.other!r}) over {case.text!r}",
        cause="a character that the vocabulary lacks is dropped or replaced without a word",
    )


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
    for number, cause in (
        (C, "an id past the end of the vocabulary is decoded all the same"),
        (-1, "an id below 0 is counted from the end, as list[-1] is, or decoded some other way"),
    ):
        what = f"decode([{number}]) with {C} characters"
        expect_refused(partial(vocabulary.decode, [number]), what=what, cause=cause)
    expect_equal(
        sorted(vocabulary.decode(list(range(C)))),
        sorted(set(case.text)),
        what=f"the characters of the ids 0 to {C - 1}",
        cause="ids of the vocabulary are not decoded",
    )


@clause(
    "vocabulary.repeatable",
    VOCABULARY,
    PROFILES,
    needs=(
        "vocabulary.sorted-unique",
        "vocabulary.unknown-character",
        "vocabulary.unknown-id",
        "vocabulary.stream",
    ),
)
def repeatable(subject: Subject, case: StrangerCase) -> None:
    """Asked again, a vocabulary answers as before, and draws nothing at random.

    Source: vocab_size > num_ids > 65 unique ids
    """
    wanted = {
        what: _answer(_questions(subject.vocabulary(case.text), case)[what])
        for what in _questions(subject.vocabulary(case.text), case)
    }
    questions = _questions(subject.vocabulary(case.text), case)
    for _ in range(2):
        for what, ask in questions.items():
            cause = "a vocabulary remembers what it was asked, and answers otherwise the next time"
            expect_equal(_answer(ask), wanted[what], what=f"{what}, asked again", cause=cause)
    every: Callable[[], object] = partial(list, map(_answer, questions.values()))
    expect_no_draws(every, what="asking a vocabulary")


def _questions(vocabulary: VocabularyLike, case: StrangerCase) -> dict[str, Callable[[], object]]:
    """Return all that a vocabulary can be asked."""
    C = len(set(case.text))
    every = list(range(C))
    return {
        "its size": partial(len, vocabulary),
        f"encode({case.text!r})": partial(vocabulary.encode, case.text),
        f"decode({every})": partial(vocabulary.decode, every),
        f"encode({case.other!r})": partial(vocabulary.encode, case.other),
        f"decode([{C}])": partial(vocabulary.decode, [C]),
        "decode([-1])": partial(vocabulary.decode, [-1]),
    }


def _answer(ask: Callable[[], object]) -> object:
    """Return an answer, or "an error"."""
    answer = observe(ask)
    return "an error" if isinstance(answer, SubjectError) else answer


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
