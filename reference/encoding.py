"""A text's characters, and its tokens, chunk by chunk, some hundred times as fast as by a dict."""

from typing import Final

import numpy as np
from jaxtyping import Integer

from reference.manifest import DTYPES
from reference.text_input import Chunk

CODES: Final = 0x110000
"""How many code points there are."""

UNKNOWN: Final = 255
"""What a byte becomes that is not in the vocabulary: of ASCII, no token is above 127."""


class Characters:
    """The distinct characters of a text."""

    def __init__(self, characters: str = "") -> None:
        self._ascii = bytes(ord(one) for one in characters if one.isascii())
        self._seen = np.zeros(CODES, bool)
        self._seen[[ord(one) for one in characters if not one.isascii()]] = True

    def add(self, chunk: Chunk) -> int:
        """Take a chunk, and give how many characters it has."""
        if chunk.codes is not None:
            self._seen[chunk.codes] = True
            return len(chunk.codes)
        new = chunk.data.translate(None, self._ascii)  # what is known is deleted
        self._ascii += bytes(set(new))
        return len(chunk.data)

    def sorted(self) -> str:
        """Give them by code point."""
        self._seen[list(self._ascii)] = True
        return "".join(map(chr, np.flatnonzero(self._seen).tolist()))


class Encoder:
    """What turns the characters of a vocabulary into tokens of a type that files have."""

    def __init__(self, characters: str, dtype: str) -> None:
        self._dtype = DTYPES[dtype]
        self._id_of = np.full(CODES, -1, np.int32)
        self._id_of[[ord(one) for one in characters]] = np.arange(len(characters))
        one = np.full(2**8, UNKNOWN, np.uint16)
        one[: 2**7] = np.where(self._id_of[: 2**7] < 0, UNKNOWN, self._id_of[: 2**7])
        self._one = one.astype(np.uint8)
        # Two bytes at a time: a quarter of the time that bytes.translate takes.
        self._two = (one[:, None] << 8 | one).reshape(-1)

    def encode(self, chunk: Chunk) -> Integer[np.ndarray, "n"] | None:
        """Give the tokens, or nothing where a character is not in the vocabulary.

        Shape: n characters -> (n,).
        """
        if chunk.codes is not None:
            ids = self._id_of[chunk.codes]
            return None if ids.min() < 0 else ids.astype(self._dtype)
        n = len(chunk.data)
        tokens = np.empty(n, np.uint8)
        pairs = np.frombuffer(chunk.data, np.uint16, n // 2)
        # Nothing is out of bounds; "clip" only says not to look for it, which would need a copy.
        self._two.take(pairs, out=tokens[: n // 2 * 2].view(np.uint16), mode="clip")
        if n % 2:
            tokens[-1] = self._one[chunk.data[-1]]
        return None if tokens.max() == UNKNOWN else tokens.astype(self._dtype, copy=False)
