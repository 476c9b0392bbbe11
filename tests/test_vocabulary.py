from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from reference.corpus import Corpus
from reference.errors import (
    EmptyError,
    NotAnIntegerError,
    NotTextError,
    RankError,
    UnknownCharacterError,
    UnknownIdError,
    VocabularyError,
)
from reference.vocabulary import Vocabulary

texts = st.text(min_size=1)


@given(texts)
def test_characters_are_sorted_and_unique(text: str) -> None:
    vocabulary = Vocabulary.from_text(text)
    assert list(vocabulary.characters) == sorted(set(text))
    assert len(vocabulary) == len(set(text))


@given(texts)
def test_text_comes_back_from_its_tokens(text: str) -> None:
    vocabulary = Vocabulary.from_text(text)
    tokens = vocabulary.encode(text)
    assert tokens.dtype == torch.int64
    assert tokens.shape == (len(text),)
    assert vocabulary.decode(tokens) == text
    assert vocabulary.decode(tokens.tolist()) == text


@given(texts)
def test_an_id_is_the_place_in_the_sorted_characters(text: str) -> None:
    vocabulary = Vocabulary.from_text(text)
    assert vocabulary.encode(vocabulary.characters).tolist() == list(range(len(vocabulary)))


def test_no_text_is_no_tokens() -> None:
    assert Vocabulary("ab").encode("").shape == (0,)
    assert Vocabulary("ab").encode("").dtype == torch.int64
    assert Vocabulary("ab").decode([]) == ""


def test_the_notes_count_65_unique_ids(twin: Corpus) -> None:
    assert len(twin.vocabulary) == 65


@given(texts, st.characters(), st.integers(min_value=0))
def test_an_unknown_character_is_named_with_its_position(
    text: str, character: str, place: int
) -> None:
    vocabulary = Vocabulary.from_text(text)
    if character in text:
        return
    place %= len(text) + 1
    with pytest.raises(UnknownCharacterError) as caught:
        vocabulary.encode(text[:place] + character + text[place:])
    assert repr(character) in str(caught.value)
    assert f"position {place} " in str(caught.value)
    if len(vocabulary) <= 100:
        assert f"its {len(vocabulary)} characters are {vocabulary.characters!r}" in str(
            caught.value
        )


def test_a_large_vocabulary_is_not_listed_whole() -> None:
    vocabulary = Vocabulary("".join(map(chr, range(0x4E00, 0x5E00))))
    with pytest.raises(UnknownCharacterError, match="4096 characters") as caught:
        vocabulary.encode("x")
    assert len(str(caught.value)) < 300
    assert repr(vocabulary.characters[:50]) in str(caught.value)
    assert repr(vocabulary.characters[-50:]) in str(caught.value)
    vocabulary = Vocabulary("".join(map(chr, range(0x4E00, 0x4E64))))  # 100 are not too many
    with pytest.raises(UnknownCharacterError, match=vocabulary.characters):
        vocabulary.encode("x")


@pytest.mark.parametrize("number", [-1, 3, 2**40])
def test_an_unknown_id_is_named_with_its_position(number: int) -> None:
    with pytest.raises(UnknownIdError, match=rf"id {number} at position 2 .* 0 to 2"):
        Vocabulary("abc").decode([0, 2, number])


@pytest.mark.usefixtures("own_checks_only")
@pytest.mark.parametrize("number", [1.0, True, "a", None])
def test_an_id_that_is_no_integer_is_named(number: object) -> None:
    with pytest.raises(NotAnIntegerError, match=f"id {number!r} at position 1"):
        Vocabulary("abc").decode([0, number])  # type: ignore[list-item]  # wrong on purpose


@pytest.mark.parametrize(
    ("characters", "message"),
    [
        ("ba", "'a' at position 1 follows 'b'"),
        ("aa", "'a' at position 1 follows 'a'"),
        ("abca", "'a' at position 3 follows 'c'"),
    ],
)
def test_a_vocabulary_must_be_sorted_and_unique(characters: str, message: str) -> None:
    rule = "characters must be unique and sorted by code point"
    with pytest.raises(VocabularyError, match=f"^character {message}; {rule}$"):
        Vocabulary(characters)


@pytest.mark.usefixtures("own_checks_only")
@pytest.mark.parametrize("value", [b"ab", None, 5, ["a", "b"]])
def test_what_is_no_text_is_refused(value: object) -> None:
    vocabulary = Vocabulary("ab")
    calls: list[tuple[str, Callable[..., object]]] = [
        ("characters", Vocabulary),
        ("text", Vocabulary.from_text),
        ("text", vocabulary.encode),
        ("text", Corpus.from_text),
    ]
    for name, call in calls:
        with pytest.raises(NotTextError, match=rf"^{name} is .*\({type(value).__name__}\)"):
            call(value)


@pytest.mark.usefixtures("own_checks_only")
def test_numpys_integers_are_ids_too() -> None:
    assert Vocabulary("abc").decode(list(np.array([2, 0, 1]))) == "cab"


@pytest.mark.usefixtures("own_checks_only")
def test_ids_are_read_once_and_are_one_text() -> None:
    vocabulary = Vocabulary("abc")
    assert vocabulary.decode(iter([2, 0])) == "ca"  # type: ignore[arg-type]  # wrong on purpose
    for shape in ((), (1, 3)):
        with pytest.raises(RankError, match="one text"):
            vocabulary.decode(torch.zeros(shape, dtype=torch.long))


def test_an_empty_text_has_no_vocabulary() -> None:
    with pytest.raises(EmptyError, match="^a vocabulary needs at least one character$"):
        Vocabulary.from_text("")
