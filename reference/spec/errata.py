"""Where the notes are wrong, contradict themselves or leave a choice, and what the reference does.

The notes themselves are never edited: a clause names the errata that bear on it by their numbers.
"""

from dataclasses import dataclass

from reference.errors import BigramError
from reference.notes import Figures


class UnknownErratumError(BigramError, ValueError):
    """A number that no erratum has."""


@dataclass(frozen=True, kw_only=True)
class Erratum:
    """One place of the notes, in inline Markdown; no text ends with a full stop."""

    number: int
    """Counted from 1, in the order of the list."""
    notes: str
    """What they say: a phrase that goes on from "the notes"."""
    fact: str
    """What is so instead: a clause of its own."""
    reference: str
    """What it does there: a phrase that goes on from "the reference"."""
    source: tuple[str, ...]
    """A way through the notes, from the outside in."""


FIGURES = Figures()
"""The figures that the texts below quote."""

GAP_ROW, GAP_COLUMN = FIGURES.probabilities_gap_place

ERRATA: tuple[Erratum, ...] = (
    Erratum(
        number=1,
        notes="print a 3 x 5 softmax of 3 x 5 logits",
        fact="its rows sum to 1, and yet differ from the softmax of these logits by up to "
        f"{FIGURES.probabilities_gap} (row {GAP_ROW}, column {GAP_COLUMN})",
        reference="shows both",
        source=("tensor([[ 0.3134", "tensor([[0.2175", "F.softmax(logits, dim=1)"),
    ),
    Erratum(
        number=2,
        notes=f"put King at {FIGURES.word_vectors[0]} in the table, and at {FIGURES.king_in_prose} "
        f"in the prose; and have King - Man + Woman = {FIGURES.analogy}",
        fact=f"the sum is {FIGURES.analogy_point}, nearest to {FIGURES.analogy} at a distance of "
        f"{FIGURES.analogy_distance}",
        reference="takes the table",
        source=("King 0 [1.0, 0.7]", "sees the point [1, 0.5]", "King - Man + Woman = Queen"),
    ),
    Erratum(
        number=3,
        notes="draw with `randint(len(data) - block_size - 1, ...)`",
        fact="that never draws the last window, and refuses data that holds just one",
        reference="keeps the notes' bound, on which their figures rest, and says what is too "
        "short; with `len(data) - block_size`, as in the lecture, their loss of "
        f"{FIGURES.loss} would be {FIGURES.loss_lecture_bound}",
        source=("ix = torch.randint(len(data) - block_size - 1, (batch_size,))",),
    ),
    Erratum(
        number=4,
        notes='choose `train_data if split == "train" else val_data`',
        fact="any misspelling trains on the validation text",
        reference="raises `UnknownSplitError`",
        source=('data = train_data if split == "train" else val_data',),
    ),
    Erratum(
        number=5,
        notes="ask `if targets == None`",
        fact="that calls the tensor's own `==`",
        reference="asks `is None`",
        source=("if targets == None:", "loss = None"),
    ),
    Erratum(
        number=6,
        notes="flatten with `targets.view(B * T)`",
        fact="`view` refuses non-contiguous targets",
        reference="takes `reshape`",
        source=("targets = targets.view(B * T)",),
    ),
    Erratum(
        number=7,
        notes=f"give B as {FIGURES.block_size}, {len(FIGURES.batch)} and {FIGURES.batch_size}, "
        "say of T that it is `block_size` and that it is not, and call tokens words",
        fact="B and T are whatever `idx` has, and tokens are characters",
        reference="says so in `shapes.py`",
        source=(
            "[8] in this context",
            "not same as block_size",
            "num_rows = [ 4 ]",
            "block_size - num_cols = [8]",
            "8 words",
            "batch_size = 32",
        ),
    ),
    Erratum(
        number=8,
        notes=f'generate "{FIGURES.sentence_in_prose}" from a vocabulary of '
        f"{len(FIGURES.sentence)} words",
        fact='the vocabulary has no "a"',
        reference=f'generates "{" ".join(FIGURES.sentence)}"',
        source=("['the', 'cat', 'sat', 'on', 'mat']", "The cat sat on a mat"),
    ),
    Erratum(
        number=9,
        notes="take `F.softmax(logits, dim=1)`",
        fact="that is right for (B, C); for (B, T, C) it runs over time",
        reference="keeps the line, where it is right",
        source=(
            "F.softmax(logits, dim=1)",
            "logits = logits[:, -1, :]",
            "F.softmax(logits, dim=1)",
        ),
    ),
    Erratum(
        number=10,
        notes="take `F.cross_entropy(logits, targets)`",
        fact="that leaves out targets of -100 without a word",
        reference="raises `TokenRangeError`",
        source=("loss = F.cross_entropy(logits, targets)",),
    ),
    Erratum(
        number=11,
        notes="train with `AdamW(..., lr=1e-3)`",
        fact=f"AdamW also decays weights, by {FIGURES.weight_decay}, and so settles short of the "
        "counts' optimum",
        reference="keeps the call",
        source=("torch.optim.AdamW( m.parameters(), lr=1e-3)", "optimizer.step()"),
    ),
    Erratum(
        number=12,
        notes="call `self(idx)` in `generate` as in training",
        fact="that tracks gradients, which nothing uses",
        reference="does not track them",
        source=("generate", "for _ in range(max_new_tokens)", "logits, loss = self(idx)"),
    ),
    Erratum(
        number=13,
        notes=f"seed once, with `torch.manual_seed({FIGURES.seed})`",
        fact=f"their loss of {FIGURES.loss} needs a second seeding, just before the model is made; "
        f"seeded once, it is {FIGURES.loss_seeded_once}",
        reference="leaves seeding to its caller, and seeds twice to show the notes' figures",
        source=("torch.manual_seed(1337)", "m = BigramLanguageModel( 65 )", "tensor(4.8948"),
    ),
    Erratum(
        number=14,
        notes=f"count the steps by `range( {FIGURES.steps:,} )`",
        fact="to Python that is `range(100, 0)`, which is empty",
        reference=f"takes {FIGURES.steps:,} steps",
        source=("for steps in range( 100,000 )",),
    ),
)
"""Every erratum, in the order of its number."""


def erratum(number: int) -> Erratum:
    """Give the erratum of a number.

    Raises: UnknownErratumError where there is none.
    """
    for one in ERRATA:
        if one.number == number:
            return one
    raise UnknownErratumError(
        f"there is no erratum {number!r}; they are numbered from 1 to {len(ERRATA)}"
    )
