"""Figures that must be shown: each with its bound, and whether it is met."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from benchmarks.wording import percent

DISTURBED = 0.1
"""Share of the processors' time, taken by others, from which on a figure is not to be trusted."""

Source = TypeVar("Source")
"""What a figure is taken from."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A figure, and the share of the processors that others took, for each result it is made of."""

    value: float
    busy: tuple[float | None, ...]

    def others(self) -> float | None:
        """Give the greatest share of the processors that others took while one was timed."""
        return max((share for share in self.busy if share is not None), default=None)


@dataclass(frozen=True, kw_only=True)
class Goal(Generic[Source]):
    """A figure, and what it must come to; without a bound it is only told."""

    what: str
    measure: Callable[[Source], Measured]
    show: Callable[[float], str]
    device: str = "cpu"
    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None

    def bound(self) -> str:
        if self.at_least is not None:
            aim = f", aim {self.show(self.aim)}" if self.aim is not None else ""
            return f"at least {self.show(self.at_least)}{aim}"
        return f"at most {self.show(self.at_most)}" if self.at_most is not None else "none"

    def verdict(self, value: float) -> str:
        if self.at_least is None and self.at_most is None:
            return ""
        low = self.at_least is None or value >= self.at_least
        high = self.at_most is None or value <= self.at_most
        return "yes" if low and high else "**no**"


def goals_table(
    goals: Iterable[Goal[Source]], source: Source, absent: Callable[[Goal[Source]], str]
) -> Iterable[str]:
    """Give a table of goals; `absent` says why one is left out that the source has no figure of."""
    yield "| what | bound | measured | met | others |"
    yield "| --- | --- | ---: | --- | ---: |"
    for goal in goals:
        try:
            found = goal.measure(source)
        except KeyError:
            cells = f"{absent(goal)} | - | -"
        else:
            others = found.others()
            taken = "?" if others is None else percent(others)
            if others is not None and others > DISTURBED:
                taken = f"**{taken}**"
            cells = f"{goal.show(found.value)} | {goal.verdict(found.value)} | {taken}"
        yield f"| {goal.what} | {goal.bound()} | {cells} |"
