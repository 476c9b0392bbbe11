"""What a walkthrough runs on, and the rows that it is made of."""

from dataclasses import dataclass, field
from enum import StrEnum

from reference.corpus import Corpus
from reference.notes import Figures
from reference.training import TrainConfig


class Mark(StrEnum):
    """How a documented figure and the computed one compare.

    ERRATUM: the notes are wrong here or leave a gap, and what is so instead is what was recorded.
    DIFFERS: a documented or recorded figure did not come back; the walkthrough has failed.
    SHOWN: nothing is documented to compare with.
    """

    MATCH = "match"
    ERRATUM = "erratum"
    DIFFERS = "differs"
    SHOWN = "shown"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure: where in the notes, what is documented, what was computed."""

    section: str
    name: str
    documented: str
    computed: str
    mark: Mark
    remark: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """The text, the figures to meet, and what the user may choose otherwise."""

    corpus: Corpus
    figures: Figures = field(default_factory=Figures)
    seed: int = Figures.seed
    config: TrainConfig = field(default_factory=TrainConfig)


@dataclass(frozen=True)
class Section:
    """One place in the notes, and how its rows are made.

    Figures are compared as they are printed: to the last digit shown.
    """

    place: str

    def match(self, name: str, documented: object, computed: object, remark: str = "") -> Row:
        """Make a row whose two figures must be the same."""
        return self.within(name, documented, computed, remark, ok=str(documented) == str(computed))

    def within(
        self, name: str, documented: object, computed: object, remark: str = "", *, ok: bool
    ) -> Row:
        """Make a row whose figure must lie where the documented one says."""
        return self._row(name, documented, computed, Mark.MATCH if ok else Mark.DIFFERS, remark)

    def erratum(
        self, name: str, documented: object, computed: object, remark: str, *, recorded: bool
    ) -> Row:
        """Make a row whose figures must differ, in just the way that is on record."""
        known = recorded and str(documented) != str(computed)
        return self._row(
            name, documented, computed, Mark.ERRATUM if known else Mark.DIFFERS, remark
        )

    def shown(self, name: str, computed: object, remark: str = "") -> Row:
        """Make a row that nothing is documented for."""
        return self._row(name, "", computed, Mark.SHOWN, remark)

    def _row(self, name: str, documented: object, computed: object, mark: Mark, remark: str) -> Row:
        return Row(
            section=self.place,
            name=name,
            documented=str(documented),
            computed=str(computed),
            mark=mark,
            remark=remark,
        )
