"""Wrong in how characters get their numbers, or come back from them."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from zoo import wrong

from reference.conformance.subjects.torch_models import TorchSubject
from reference.model import BigramLanguageModel


class Chars:
    """The lecture's two dictionaries, which the others change in one place."""

    def __init__(self, text: str) -> None:
        self.chars = self.entries(text)
        self.stoi = {ch: i for i, ch in enumerate(self.chars)}
        self.itos = dict(enumerate(self.chars))

    def entries(self, text: str) -> list[str]:
        return sorted(set(text))

    def __len__(self) -> int:
        return len(self.chars)

    def encode(self, text: str) -> list[int]:
        return [self.stoi[c] for c in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.itos[i] for i in ids)


def words_of(words: Callable[[str], object]) -> TorchSubject:
    return TorchSubject(factory=BigramLanguageModel, given={"vocabulary": words})


def mutant(breaks: str, name: str) -> Callable[[type[Chars]], type[Chars]]:
    """Add a changed class to the specimens."""

    def add(words: type[Chars]) -> type[Chars]:
        wrong(breaks, name, concepts=("vocabulary",))(partial(words_of, words))
        return words

    return add


@mutant("vocabulary.size", "adds an <unk> entry that is never used")
class Unk(Chars):
    def entries(self, text: str) -> list[str]:
        return [*super().entries(text), "<unk>"]


@mutant("vocabulary.size", "has a start token in front of the characters")
class Bos(Chars):
    def entries(self, text: str) -> list[str]:
        return ["<s>", *super().entries(text)]

    def encode(self, text: str) -> list[int]:
        return [0, *super().encode(text)]


@mutant("vocabulary.size", "lower-cases the text")
class LowerCased(Chars):
    def entries(self, text: str) -> list[str]:
        return super().entries(text.lower())

    def encode(self, text: str) -> list[int]:
        return super().encode(text.lower())


@mutant("vocabulary.size", "strips the text before it collects its characters")
class Stripped(Chars):
    def entries(self, text: str) -> list[str]:
        return super().entries(text.strip())


@mutant("vocabulary.size", "counts a character again each time it occurs")
class NotASet(Chars):
    def entries(self, text: str) -> list[str]:
        return sorted(text)


@mutant("vocabulary.size", "has 256 entries whatever the text is")
class Bytes(Chars):
    def __len__(self) -> int:
        return 256


@mutant("vocabulary.size", "takes words for tokens")
class SplitIntoWords(Chars):
    def entries(self, text: str) -> list[str]:
        return sorted(set(text.split()))


@mutant("vocabulary.one-per-character", "puts token 0 in front of what it encodes")
class StartsWithZero(Chars):
    def encode(self, text: str) -> list[int]:
        return [0, *super().encode(text)]


@mutant("vocabulary.one-per-character", "counts the ids from 1")
class FromOne(Chars):
    def encode(self, text: str) -> list[int]:
        return [i + 1 for i in super().encode(text)]

    def decode(self, ids: Sequence[int]) -> str:
        return super().decode([i - 1 for i in ids])


@mutant("vocabulary.one-per-character", "drops line ends when it encodes")
class OneLine(Chars):
    def encode(self, text: str) -> list[int]:
        return super().encode(text.replace("\n", ""))


@mutant("vocabulary.one-per-character", "encodes the bytes of UTF-8")
class Utf8(Chars):
    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode()


@mutant("vocabulary.one-per-character", "gives code points for ids")
class CodePoints(Chars):
    def encode(self, text: str) -> list[int]:
        return [ord(c) for c in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))


@mutant("vocabulary.one-per-character", "makes one token of two equal spaces")
class MergedSpaces(Chars):
    def encode(self, text: str) -> list[int]:
        return super().encode(text.replace("  ", " "))


@mutant("vocabulary.one-per-character", "forgets to return the ids")
class ForgetsReturn(Chars):
    def encode(self, text: str) -> None:  # type: ignore[override]  # another signature, on purpose
        super().encode(text)


@mutant("vocabulary.round-trip", "joins the characters with spaces")
class Spaced(Chars):
    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.itos[i] for i in ids)


@mutant("vocabulary.round-trip", "encodes capitals as small letters where it has those")
class SmallWherePossible(Chars):
    def encode(self, text: str) -> list[int]:
        return super().encode("".join(c.lower() if c.lower() in self.stoi else c for c in text))


@mutant("vocabulary.round-trip", "decodes from the end")
class Backwards(Chars):
    def decode(self, ids: Sequence[int]) -> str:
        return super().decode(ids)[::-1]


@mutant("vocabulary.round-trip", "strips the decoded text")
class StrippedAfter(Chars):
    def decode(self, ids: Sequence[int]) -> str:
        return super().decode(ids).strip()


@mutant("vocabulary.round-trip", "takes accents apart when it decodes")
class Decomposed(Chars):
    def decode(self, ids: Sequence[int]) -> str:
        return unicodedata.normalize("NFD", super().decode(ids))


@mutant("vocabulary.round-trip", "leaves token 0 out when it decodes, as if it were padding")
class ZeroIsPadding(Chars):
    def decode(self, ids: Sequence[int]) -> str:
        return super().decode([i for i in ids if i])


@mutant("vocabulary.sorted-unique", "numbers the characters as they first appear")
class FirstSeen(Chars):
    def entries(self, text: str) -> list[str]:
        return list(dict.fromkeys(text))


@mutant("vocabulary.sorted-unique", "gives frequent characters the low numbers")
class ByFrequency(Chars):
    def entries(self, text: str) -> list[str]:
        return [ch for ch, _count in Counter(text).most_common()]


@mutant("vocabulary.sorted-unique", "sorts without regard to case")
class DictionaryOrder(Chars):
    def entries(self, text: str) -> list[str]:
        return sorted(set(text), key=lambda ch: (ch.lower(), ch))


@mutant("vocabulary.sorted-unique", "leaves the set in the order in which Python has it")
class SetOrder(Chars):
    def entries(self, text: str) -> list[str]:
        return list(set(text))


@mutant("vocabulary.unknown-character", "drops an unknown character")
class Drops(Chars):
    def encode(self, text: str) -> list[int]:
        return [self.stoi[c] for c in text if c in self.stoi]


@mutant("vocabulary.unknown-character", "takes an unknown character for token 0")
class UnknownIsZero(Chars):
    def encode(self, text: str) -> list[int]:
        return [self.stoi.get(c, 0) for c in text]


@mutant("vocabulary.unknown-character", "takes an unknown character for -1, as str.find does")
class UnknownIsMinusOne(Chars):
    def encode(self, text: str) -> list[int]:
        return ["".join(self.chars).find(c) for c in text]


@mutant("vocabulary.unknown-character", "gives an unknown character the next free number")
class Grows(Chars):
    def encode(self, text: str) -> list[int]:
        return [self.stoi.setdefault(c, len(self.stoi)) for c in text]


@mutant("vocabulary.unknown-character", "does not say which character is unknown")
class Nameless(Chars):
    def encode(self, text: str) -> list[int]:
        if set(text) - set(self.chars):
            raise ValueError("the text has unknown characters")
        return super().encode(text)


@mutant(
    "vocabulary.unknown-character", "looks characters up in a tuple, whose error has an x and a p"
)
class TupleIndex(Chars):
    def encode(self, text: str) -> list[int]:
        return [tuple(self.chars).index(c) for c in text]


@mutant("vocabulary.unknown-id", "decodes -1 as the last character, as a list does")
class Wraps(Chars):
    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.chars[i] for i in ids)


@mutant("vocabulary.unknown-id", "decodes an unknown id as a question mark")
class QuestionMark(Chars):
    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.itos.get(i, "?") for i in ids)


@mutant("vocabulary.unknown-id", "leaves unknown ids out when it decodes")
class SkipsIds(Chars):
    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.itos[i] for i in ids if i in self.itos)


@mutant("vocabulary.unknown-id", "takes ids modulo the size of the vocabulary")
class Modulo(Chars):
    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.itos[i % len(self.itos)] for i in ids)


@mutant("vocabulary.size", "has room for 64 characters")
class SixBits(Chars):
    def entries(self, text: str) -> list[str]:
        return super().entries(text)[:64]


@mutant("vocabulary.documented", "leaves out the dollar sign, which begins a formula")
class NoDollar(Chars):
    def entries(self, text: str) -> list[str]:
        return [ch for ch in super().entries(text) if ch != "$"]


@mutant("vocabulary.stream", "seeds NumPy when a text is encoded")
class Seeding(Chars):
    def encode(self, text: str) -> list[int]:
        np.random.seed(0)  # noqa: NPY002  the mistake
        return super().encode(text)


@mutant("vocabulary.stream", "shuffles the characters before it sorts them")
class Shuffled(Chars):
    def entries(self, text: str) -> list[str]:
        characters = list(set(text))
        order = torch.randperm(len(characters)).tolist()
        return sorted(characters[place] for place in order)


class Counting(Chars):
    """Counts how often it was asked, and answers otherwise from the second time on."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.asked = 0

    def before(self) -> bool:
        self.asked += 1
        return self.asked > 1


@mutant("vocabulary.repeatable", "counts a character more when it is asked again")
class Longer(Counting):
    def __len__(self) -> int:
        return super().__len__() + self.before()


@mutant("vocabulary.repeatable", "puts token 0 in front of the second text that it encodes")
class ZeroLater(Counting):
    def encode(self, text: str) -> list[int]:
        return [0] * self.before() + super().encode(text)


@mutant("vocabulary.repeatable", "goes on from the first text when it decodes a second")
class Appends(Counting):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.decoded = ""

    def decode(self, ids: Sequence[int]) -> str:
        self.decoded += super().decode(ids)
        return self.decoded


@mutant("vocabulary.repeatable", "numbers the characters backwards from its second text on")
class BackwardsLater(Counting):
    def encode(self, text: str) -> list[int]:
        ids = super().encode(text)
        return [len(self.chars) - 1 - i for i in ids] if self.before() else ids

    def decode(self, ids: Sequence[int]) -> str:
        if self.asked > 1:
            ids = [len(self.chars) - 1 - i for i in ids]
        return super().decode(ids)


@mutant("vocabulary.repeatable", "refuses an unknown character once, and then knows it")
class Learns(Counting):
    def encode(self, text: str) -> list[int]:
        ids = [self.stoi.setdefault(c, 0) for c in text]
        if len(self.stoi) > len(self.chars) and not self.before():
            raise KeyError(next(c for c in text if c not in self.chars))
        return ids


@mutant("vocabulary.repeatable", "refuses unknown ids at first, and leaves them out later")
class SkipsLater(Counting):
    def decode(self, ids: Sequence[int]) -> str:
        if set(ids) <= self.itos.keys():
            return super().decode(ids)
        if not self.before() or self.asked == 2:  # one past the end, one below 0
            raise IndexError(ids)
        return super().decode([i for i in ids if i in self.itos])


@mutant("vocabulary.repeatable", "draws a number when its length is asked")
class DrawsLength(Chars):
    def __len__(self) -> int:
        torch.rand(1)
        return super().__len__()
