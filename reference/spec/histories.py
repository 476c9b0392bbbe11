"""Histories: what users do to one model, in order."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from reference.shapes import Ids, Table
from reference.spec.cases import TokensCase, certain_table, require, table_of

READS = {"forward": "m(idx)", "loss": "m(idx, targets)", "generate": "m.generate(idx, 3)"}
"""Deeds that only read the model, and how each is written."""
GRADIENTS_OFF = {"no_grad": "torch.no_grad()", "inference_mode": "torch.inference_mode()"}
"""Contexts that turn gradients off, by how a deed ends, and how each is written."""
DEEDS = {
    **READS,
    **{
        f"{read} in {off}": f"with {context}: {line}"
        for off, context in GRADIENTS_OFF.items()
        for read, line in READS.items()
    },
    "backward": "m(idx, targets)[1].backward()",
    "backward twice": "loss = m(idx, targets)[1]; loss.backward(retain_graph=True); "
    "loss.backward()",
    "zero_grad": "optimizer.zero_grad()",
    "step": "optimizer.step()",
    "write": "with torch.no_grad(): table.copy_({next})",
    "write data": "table.data = {next}",
    "train": "m.train()",
    "eval": "m.eval()",
    "deepcopy": "m = copy.deepcopy(m)",
    "state_dict": "state = m.state_dict(); m = BigramLanguageModel(vocab_size); "
    "m.load_state_dict(state)",
    "double": "m = m.double()",
}
"""What users do to a model, and how each deed is written."""
MOST_DEEDS = 64
"""Most deeds in a history."""


@dataclass(frozen=True, kw_only=True)
class HistoryCase(TokensCase):
    """What a user does to one model, in order.

    Each table makes one successor of each token certain, a different one than the table before.
    """

    deeds: tuple[str, ...]

    def check(self) -> None:
        """Raise unless each deed is one of `DEEDS`."""
        super().check()
        require(self.C > 2, "C", self.C, "be 3 or more, so that tables differ")  # noqa: PLR2004  as said
        allowed = f"be 1 to {MOST_DEEDS} of {', '.join(DEEDS)}"
        is_known = 0 < len(self.deeds) <= MOST_DEEDS and set(self.deeds) <= DEEDS.keys()
        require(is_known, "deeds", self.deeds, allowed)

    def written(self, number: int) -> Table:
        """Make the table that is written after `number` others, (C, C)."""
        return history_table(self.C, number)

    def target_tensor(self) -> Ids:
        """Return targets that no written table makes likely, (B, T)."""
        return (self.tensor() - 1) % self.C

    @property
    def rate(self) -> float:
        """A learning rate at which one step makes the targets certain."""
        return 200.0 * self.tensor().numel()

    def shorter(self) -> Iterator["HistoryCase"]:
        """Yield the histories in which one deed is left out."""
        for place in range(len(self.deeds) if len(self.deeds) > 1 else 0):
            yield replace(self, deeds=self.deeds[:place] + self.deeds[place + 1 :])

    def code(self) -> str:
        """Write the history as lines of Python."""
        optimizer = f"optimizer = torch.optim.SGD(m.parameters(), lr={self.rate:g})"
        reach = "table = next(m.parameters())"
        lines = [
            super().code(),
            "targets = (idx - 1) % vocab_size",
            "m = BigramLanguageModel(vocab_size)  # your class",
            f"{reach}; {optimizer}",
        ]
        tables = count()
        for deed in ("write", *self.deeds):
            line = DEEDS[deed]
            if "{next}" in line:  # from reference.spec.histories
                line = line.format(next=f"history_table({self.C}, {next(tables)})")
            lines.append(line)
            if deed in {"deepcopy", "state_dict"}:
                lines.append(f"{reach}; {optimizer}")
        imports = ["import copy"] if "deepcopy" in self.deeds else []
        return "\n".join([*imports, "from reference.spec.histories import history_table", *lines])


def history_table(C: int, number: int) -> Table:
    """Make the table that a history writes after `number` others.

    Shape: -> (C, C), float32.
    """
    by = 1 + number % (C - 2)  # and never C - 1: that is where the targets are
    return certain_table([(token + by) % C for token in range(C)]) + table_of(C, number)
