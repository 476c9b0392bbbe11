"""The examples that the notes make up: words as points, a sentence that grows, softmax by row."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from reference.model import BigramLanguageModel
from reference.notes import Figures
from reference.walkthrough.rows import Row, Section

NEAR = 0.25
"""Coordinates that differ by no more are "approximately" aligned; King and Man differ by 0.2."""


def word_rows(figures: Figures) -> Iterator[Row]:
    """Look the four words up in an embedding, and measure the plane that they span."""
    here = Section("globals > idx > [ embedding ]")
    embedding = nn.Embedding.from_pretrained(torch.tensor(figures.word_vectors))
    point = {word: embedding(torch.tensor(i)) for i, word in enumerate(figures.words)}
    king, queen, man, woman = (point[word] for word in ("King", "Queen", "Man", "Woman"))

    yield here.erratum(
        "King",
        coordinates(torch.tensor(figures.king_in_prose)),
        coordinates(king),
        "The table of vectors and the prose below it disagree; the table is meant, since the "
        "graph has King at 0.7 too.",
        recorded=coordinates(king) == "(1.0, 0.7)",
    )
    yield here.shown(
        "distances",
        f"King-Man {distance(king, man)}, Queen-Woman {distance(queen, woman)}; "
        f"King-Queen {distance(king, queen)}, Man-Woman {distance(man, woman)}",
        "First along royalty, then along gender.",
    )
    yield here.match(
        "horizontal",
        "King and Queen match, Man and Woman match",
        f"King and Queen {aligned(king, queen, 0)}, Man and Woman {aligned(man, woman, 0)}".replace(
            "exactly", "match"
        ),
    )
    yield here.match(
        "vertical",
        "King and Man approximately, Queen and Woman exactly",
        f"King and Man {aligned(king, man, 1)}, Queen and Woman {aligned(queen, woman, 1)}",
    )
    result = king - man + woman
    nearest = min(point, key=lambda word: float((point[word] - result).norm()))
    apart = distance(point[nearest], result)
    yield here.erratum(
        "King - Man + Woman",
        figures.analogy,
        f"{coordinates(result)}; nearest is {nearest}, {apart} away",
        "Near Queen, not equal to it: her gender is -0.5.",
        recorded=(coordinates(result), nearest, apart)
        == (
            coordinates(torch.tensor(figures.analogy_point)),
            figures.analogy,
            figures.analogy_distance,
        ),
    )


def sentence_rows(figures: Figures) -> Iterator[Row]:
    """Let a model over five words, each of which has one successor, finish the sentence."""
    here = Section("globals > idx > -- generate --")
    C = len(figures.sentence)
    model = BigramLanguageModel(C)
    with torch.no_grad():
        # After each word the next one is certain: exp(-100) is nothing in float32.
        model.token_embedding_table.weight.copy_(100.0 * torch.eye(C).roll(1, dims=1))
    idx = torch.tensor([figures.prompt])
    shapes = [tuple(idx.shape)]
    while len(shapes) <= len(figures.continued) - len(figures.prompt):
        idx = model.generate(idx, max_new_tokens=1)  # (1, T) -> (1, T+1)
        shapes.append(tuple(idx.shape))
    yield here.match(
        "shape",
        f"(1, {len(figures.prompt)}) to (1, {len(figures.continued)})",
        f"{shapes[0]} to {shapes[-1]}",
        "One token at a time: " + ", ".join(str(shape) for shape in shapes) + ".",
    )
    yield here.match("idx", [list(figures.continued)], idx.tolist())
    said = " ".join(figures.sentence[token] for token in idx[0].tolist())
    yield here.erratum(
        "in words",
        figures.sentence_in_prose,
        said,
        'The vocabulary has five words, and neither "a" nor a capital "The" is one of them.',
        recorded=said == "the cat sat on mat",
    )


def softmax_rows(figures: Figures) -> Iterator[Row]:
    """Turn the raw 3 x 5 example into probabilities, and compare with those printed."""
    here = Section("globals > logits > **NORMALIZED** SOFTMAX")
    probs = F.softmax(torch.tensor(figures.raw_logits), dim=1)  # (3, 5)
    inside = bool(((probs > 0) & (probs < 1)).all())
    yield here.match(
        "all values", "between 0 and 1", "between 0 and 1" if inside else "not between 0 and 1"
    )
    sums = sorted({f"{row_sum:.1f}" for row_sum in probs.sum(dim=1).tolist()})
    yield here.match("all rows sum to", "1.0", ", ".join(sums))
    gaps = (probs - torch.tensor(figures.probabilities)).abs()  # (3, 5)
    row, column = divmod(int(gaps.argmax()), gaps.shape[1])
    gap, place = f"{gaps.max().item():.4f}", (row + 1, column + 1)
    yield here.erratum(
        "F.softmax(logits, dim=1)",
        matrix(figures.probabilities),
        matrix(probs.tolist()),
        f"The printed rows sum to 1, but are not the softmax of the printed logits: they differ "
        f"by up to {gap}, at row {place[0]}, column {place[1]}.",
        recorded=(gap, place) == (figures.probabilities_gap, figures.probabilities_gap_place),
    )


def coordinates(point: Float[Tensor, "2"]) -> str:
    """Print a point to one decimal, as the notes do."""
    return "(" + ", ".join(f"{value:.1f}" for value in point.tolist()) + ")"


def distance(a: Float[Tensor, "2"], b: Float[Tensor, "2"]) -> str:
    """Print the Euclidean distance to at most two decimals."""
    return f"{round((a - b).norm().item(), 2):g}"


def aligned(a: Float[Tensor, "2"], b: Float[Tensor, "2"], axis: int) -> str:
    """Say how nearly two points agree along one axis."""
    gap = abs(float(a[axis] - b[axis]))
    if gap == 0:
        return "exactly"
    return "approximately" if gap <= NEAR else "not"


def matrix(rows: Sequence[Sequence[float]]) -> str:
    """Print rows of numbers to four decimals."""
    return "\n".join("  ".join(f"{value:.4f}" for value in row) for row in rows)
