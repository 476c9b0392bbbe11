"""How far a `bigram prepare` has come, on disk, so that the same command can go on from there."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from reference.errors import OutputError
from reference.files import replacing
from reference.manifest import STATE, Source, seal, unseal
from reference.text_input import TextInput

FORMAT = 1
"""The version of what the file holds."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What is done; all that it claims is on disk."""

    inputs: tuple[TextInput, ...]
    characters: str = ""
    """Those found so far, sorted."""
    read: tuple[Source, ...] = ()
    """What the first pass found in each input; in the last of these, so far."""
    encoding: bool = False
    """Whether the first pass is done, and the second has begun."""
    input: int = 0
    offset: int = 0
    """Where the pass goes on: in which input, and at which byte of its text."""
    tokens: int = 0
    pieces: tuple[str, ...] = ()
    """The digests of the tokens written."""

    @property
    def total(self) -> int:
        """How many tokens the inputs have, as the first pass found."""
        return sum(source.characters for source in self.read)

    def save(self, folder: Path) -> None:
        """Write the state, whole or not at all.

        Raises: OutputError.
        """
        with replacing(folder / STATE) as out:
            out.write(seal({"format": FORMAT, **asdict(self)}))


def load_state(folder: Path) -> State:
    """Read the state that is there.

    Raises: OutputError where it is damaged, or of another version.
    """
    file = folder / STATE
    try:
        fields = unseal(file.read_bytes())
        if fields.pop("format") != FORMAT:
            raise ValueError("its format is another")  # noqa: TRY301  told below
        fields["inputs"] = tuple(TextInput(**one) for one in fields["inputs"])
        fields["read"] = tuple(Source(**one) for one in fields["read"])
        return State(**{**fields, "pieces": tuple(fields["pieces"])})
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise OutputError(
            f"{file} is damaged, or of another version of bigram-reference: {error}. Remove it, "
            "and run the command again, which then begins anew"
        ) from error


def check_same(folder: Path, before: Sequence[TextInput], now: Sequence[TextInput]) -> None:
    """Refuse to go on with other inputs than those that the state is of.

    Raises: OutputError, which names the first difference.
    """
    if len(before) != len(now):
        difference = f"{len(before)} inputs then, and {len(now)} now"
    else:
        for one, other in zip(before, now, strict=True):
            if one.path != other.path:
                difference = f"{one.path} then, and {other.path} now"
                break
            if (one.size, one.mtime_ns) != (other.size, other.mtime_ns):
                difference = f"{one.path} has changed since, from {one.size:,} bytes to "
                difference += f"{other.size:,}" if one.size != other.size else "as many others"
                break
        else:
            return
    raise OutputError(
        f"{folder} holds an unfinished `bigram prepare` of other inputs: {difference}. Give the "
        f"same files in the same order; or remove {folder / STATE}, to begin anew"
    )
