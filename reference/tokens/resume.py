"""How far a `bigram prepare` has come, on disk, so that the same command can go on from there."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from msgspec import convert

from reference.errors import OutputError, printable
from reference.files.atomic import replacing
from reference.files.sealed import seal, unseal
from reference.files.text import TextInput
from reference.tokens.format import STATE, Count, Source

FORMAT = 2
"""The version of what the file holds."""

UNFINISHED = "tokens.unfinished"
"""Name of the tokens until all of them are there."""

SPOOL = "stdin.unfinished"
"""Name of the copy of standard input, which can be read only once."""

COPYING, TRYING, READING, ENCODING = STEPS = ("copying", "trying", "reading", "encoding")
"""What is done to a text: copied, if it is standard input; encoded with the characters of its
beginning, as long as no other comes; read for its characters from there on; encoded with them all.
"""


@dataclass(frozen=True, kw_only=True)
class State:
    """What is done; all that it claims is on disk."""

    inputs: tuple[TextInput, ...]
    doing: str = TRYING
    characters: str = ""
    """Those found so far, sorted."""
    read: tuple[Source, ...] = ()
    """What was found in each input; in the last of these, so far."""
    input: Count = 0
    offset: Count = 0
    """Where the step goes on: in which input, and at which byte of its text."""
    tokens: Count = 0
    pieces: tuple[str, ...] = ()
    """The digests of the tokens written, the last of which may be of a piece that is not full."""

    @property
    def total(self) -> int:
        """How many characters the inputs have, as far as they were read."""
        return sum(source.characters for source in self.read)

    def begins(self, input: int) -> int:  # noqa: A002  as the field
        """Give the byte of this input, or of a later one, from which on it is to be read."""
        return self.offset if input == self.input else 0

    def found(self, characters: int, *, input: int, offset: int) -> "State":  # noqa: A002  as the field
        """Have read so many characters more, up to a byte of an input."""
        read = list(self.read)
        read += [
            Source(name=Path(one.name).name, bytes=0, characters=0)
            for one in self.inputs[len(read) : input + 1]
        ]
        if characters:
            n = read[input].characters + characters
            read[input] = replace(read[input], bytes=offset, characters=n)
        return replace(self, read=tuple(read), input=input, offset=offset)

    def to_bytes(self) -> bytes:
        """Return the content of prepare.json."""
        return seal({"format": FORMAT, **asdict(self)})

    def save(self, folder: Path) -> None:
        """Write the state, whole or not at all.

        Raises: OutputError.
        """
        with replacing(folder / STATE) as out:
            out.write(self.to_bytes())


def load_state(folder: Path) -> State:
    """Read the state that is there.

    Raises: OutputError where it is damaged, or of another version.
    """
    file = folder / STATE
    try:
        raw = file.read_bytes()
        state = convert(unseal(raw), State)
        if state.to_bytes() != raw:
            raise ValueError(f"its format is not {FORMAT}, or a field is unknown")  # noqa: TRY301  told below
        _check(state)
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise OutputError(
            f"{file} is damaged, or of another version of bigram-reference: {printable(error)}. "
            f"{start_over(folder)}"
        ) from error
    return state


def _check(state: State) -> None:
    """Raise if no `prepare` can have left the state, which a digest and types do not tell.

    Raises: ValueError.
    """
    if state.doing not in STEPS:
        raise ValueError("it is at an unknown step")
    if state.doing == COPYING:
        if state != State(inputs=(), doing=COPYING):
            raise ValueError("nothing is known of a text that is being copied")
        return
    state.characters.encode()  # a lone surrogate, which JSON can name, is no character
    if list(state.characters) != sorted(set(state.characters)):
        raise ValueError("its characters are not sorted")
    is_read = len(state.read) == len(state.inputs) and state.characters
    if not state.input < len(state.inputs) >= len(state.read):
        raise ValueError("it is at an input that does not exist")
    if state.doing == ENCODING and not is_read:
        raise ValueError("it encodes what it has not read")
    if state.doing == TRYING and state.tokens != state.total:
        raise ValueError("it has encoded what it has not read")


def check_same(folder: Path, before: Sequence[TextInput], now: Sequence[TextInput]) -> None:
    """Refuse to go on with other inputs than those that the state is of.

    Raises: OutputError, which names the first difference.
    """
    if len(before) != len(now):
        difference = f"{len(before)} inputs then, and {len(now)} now"
    else:
        for one, other in zip(before, now, strict=True):
            if one.path != other.path:
                difference = f"{printable(one.path)} then, and {other.path} now"
                break
            if (one.size, one.mtime_ns) != (other.size, other.mtime_ns):
                difference = f"{one.path} has changed since, from {one.size:,} bytes to "
                difference += f"{other.size:,}" if one.size != other.size else "as many others"
                break
        else:
            return
    raise OutputError(
        f"{folder} holds an unfinished `bigram prepare` of other inputs: {difference}. Give the "
        f"same files in the same order. {start_over(folder)}"
    )


def start_over(folder: Path) -> str:
    """Return what to do with a folder to start over in it."""
    left = ", ".join(name for name in (STATE, UNFINISHED, SPOOL) if (folder / name).exists())
    return f"To start over, remove {left} in {folder} and run the command again"
