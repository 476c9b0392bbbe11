"""Tokens that stay in their file, and are read where they are needed.

The file must stay as it is while it is in use: where one is cut short, reading says so, but the
system ends a process that has it mapped (SIGBUS).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Integer
from torch import Tensor

from reference.errors import TokenFileError, reason
from reference.tokens.format import DTYPES


@dataclass(frozen=True, kw_only=True)
class FileTokens:
    """A stream of tokens in a file, which is read in parts and never held whole.

    Shape: (N,) with N = length.
    """

    path: Path
    dtype: str
    start: int
    """Tokens before it in the file."""
    length: int

    def __len__(self) -> int:
        """Give N, the number of tokens."""
        return self.length

    def read(self, begin: int, end: int) -> Integer[np.ndarray, "n"]:
        """Read the tokens from begin to end - 1 into memory; end is at most N.

        Shape: -> (end - begin,), of the file's type.
        Raises: TokenFileError where the file is gone or has become shorter.
        """
        dtype, wanted = DTYPES[self.dtype], max(0, min(end, self.length) - begin)
        try:
            found = np.fromfile(
                self.path, dtype, wanted, offset=(self.start + begin) * dtype.itemsize
            )
        except OSError as error:
            raise unreadable(self.path, error) from error
        if len(found) < wanted:
            raise TokenFileError(
                f"{self.path} has become shorter: it ends {wanted - len(found):,} tokens before "
                "what was read now. Leave it as it is while it is in use"
            )
        return found

    def mapped(self) -> Integer[Tensor, "N"]:
        """Give the tokens as a tensor over the file, of which what is used is loaded.

        Writing into it changes memory only, never the file.

        Shape: -> (N,), of the file's type.
        Raises: TokenFileError where the file cannot be opened.
        """
        dtype = DTYPES[self.dtype]
        if not self.length:  # nothing cannot be mapped
            return torch.from_numpy(np.empty(0, dtype))
        offset = self.start * dtype.itemsize
        try:
            array = np.memmap(self.path, dtype, "c", offset, (self.length,))
        except (OSError, ValueError) as error:  # ValueError: the file has become shorter
            raise unreadable(self.path, error) from error
        return torch.from_numpy(array)


def unreadable(path: Path, error: Exception) -> TokenFileError:
    """Make the error that says that a file cannot be read."""
    return TokenFileError(
        f"{path} cannot be read: {reason(error)}. Give a directory that `bigram prepare` wrote"
    )
