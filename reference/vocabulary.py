"""Characters to tokens and back: the vocabulary that the notes' 65 ids come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from reference.checks import check_text, is_integer
from reference.errors import (
    EmptyError,
    NotAnIntegerError,
    RankError,
    UnknownCharacterError,
    UnknownIdError,
    VocabularyError,
)
from reference.shapes import TokenStream


@dataclass(frozen=True)
class Vocabulary:
    """The distinct characters of a text, sorted by code point; a character's id is its place.

    Raises: EmptyError without characters; VocabularyError where one repeats or is out of order;
        NotTextError where they are no str.
    Source: notes, vocab_size > num_ids > 65 unique ids (vocabulary).
    """

    characters: str

    def __post_init__(self) -> None:
        check_text("characters", self.characters)
        if not self.characters:
            raise EmptyError("a vocabulary needs at least one character")
        for position, (before, here) in enumerate(pairwise(self.characters), start=1):
            if before >= here:
                raise VocabularyError(
                    f"character {here!r} at position {position} follows {before!r}; "
                    "characters must be unique and sorted by code point"
                )

    @classmethod
    def from_text(cls, text: str) -> "Vocabulary":
        """Collect the distinct characters of a text.

        Raises: EmptyError where the text is empty; NotTextError where it is no str.
        Source: notes, num_ids > 65 unique ids (vocabulary).
        """
        check_text("text", text)
        return cls("".join(sorted(set(text))))

    def __len__(self) -> int:
        """Give C, the number of characters."""
        return len(self.characters)

    def encode(self, text: str) -> TokenStream:
        """Turn text into tokens, one per character.

        Shape: N characters -> (N,), int64, each in 0 to C - 1.
        Raises: UnknownCharacterError, which names the first unknown character and its position;
            NotTextError where the text is no str.
        Source: notes, indexes.
        """
        check_text("text", text)
        try:
            ids = [self._id_of[character] for character in text]
        except KeyError:
            position = next(i for i, c in enumerate(text) if c not in self._id_of)
            raise UnknownCharacterError(
                f"character {text[position]!r} at position {position} is not in the vocabulary; "
                f"its {len(self)} characters are {_shortened(self.characters)}"
            ) from None
        return torch.tensor(ids, dtype=torch.long)

    def decode(self, ids: Sequence[int] | TokenStream) -> str:
        """Turn tokens back into text.

        Shape: (N,), a list of integers or a tensor -> N characters.
        Raises: UnknownIdError, which names the first unknown id and its position;
            NotAnIntegerError where an id is no integer; RankError where a tensor is not (N,).
        Source: notes, print(decode(m.generate(.
        """
        if isinstance(ids, Tensor) and ids.ndim != 1:
            raise RankError(f"ids has shape {tuple(ids.shape)}; it must be (N,): one text")
        numbers = ids.tolist() if isinstance(ids, Tensor) else list(ids)
        for position, number in enumerate(numbers):
            if not is_integer(number):
                raise NotAnIntegerError(f"id {number!r} at position {position} is not an integer")
            if not 0 <= number < len(self):
                raise UnknownIdError(
                    f"id {number} at position {position} is not in the vocabulary; "
                    f"an id must lie in 0 to {len(self) - 1}"
                )
        return "".join(self.characters[number] for number in numbers)

    @cached_property
    def _id_of(self) -> dict[str, int]:
        return {character: number for number, character in enumerate(self.characters)}


def _shortened(characters: str, most: int = 100) -> str:
    if len(characters) <= most:
        return repr(characters)
    return f"{characters[: most // 2]!r} ... {characters[-most // 2 :]!r}"
