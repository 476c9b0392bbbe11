"""The figures that the notes print, as they print them: what the package has to reproduce.

The notes themselves are `docs/notes/nn-module.markmap.md`. What they print and is wrong stays
wrong here, since it is what a reader will compare with; `reference.walkthrough` says where.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Every figure of the notes; the defaults are the notes' own.

    Units: losses in nats per token; coordinates have none.
    Source: notes, INIT > MAIN > PRE-TRAIN.
    """

    seed: int = 1337
    vocab_size: int = 65
    batch: tuple[tuple[int, ...], ...] = (
        (53, 59, 6, 1, 58, 56, 47, 40),
        (49, 43, 43, 54, 1, 47, 58, 1),
        (13, 52, 45, 43, 50, 53, 8, 0),
        (1, 39, 1, 46, 53, 59, 57, 43),
    )
    """xb, (B, T) = (4, 8)."""
    logits_shape: tuple[int, int] = (32, 65)
    """(B*T, C)."""
    loss: str = "4.8948"
    """As printed: four decimals."""
    loss_grad_fn: str = "NllLossBackward0"
    sample: str = (
        "\n"
        "SKIcLT;AcELMoTbvZv C?nq-QE33:CJqkOKH-q;:la!oiywkHjgChzbQ?u!3bLIgwevmyFJGUGp\n"
        "wnYWmnxKWWev-tDqXErVKLgJ"
    )
    """The start token 0, decoded, and 100 more."""
    start_shape: tuple[int, int] = (1, 1)
    """idx = torch.zeros((1, 1), dtype=torch.long)."""

    words: tuple[str, ...] = ("King", "Queen", "Man", "Woman")
    word_vectors: tuple[tuple[float, float], ...] = (
        (1.0, 0.7),
        (1.0, -0.5),
        (0.0, 0.5),
        (0.0, -0.5),
    )
    """(royalty, gender) of each word."""
    king_in_prose: tuple[float, float] = (1.0, 0.5)
    analogy: str = "Queen"
    """King - Man + Woman."""

    sentence: tuple[str, ...] = ("the", "cat", "sat", "on", "mat")
    """The vocabulary of the generation example: 5 words."""
    prompt: tuple[int, ...] = (0, 1)
    continued: tuple[int, ...] = (0, 1, 2, 3, 4)
    sentence_in_prose: str = "The cat sat on a mat"

    raw_logits: tuple[tuple[float, ...], ...] = (
        (0.3134, -0.1676, 0.3773, -0.0824, -0.2973),
        (-0.0856, 0.0987, 0.1772, 0.0565, -0.2135),
        (0.0624, 0.0895, 0.0927, -0.0507, -0.1921),
    )
    probabilities: tuple[tuple[float, ...], ...] = (
        (0.2175, 0.1338, 0.2301, 0.1450, 0.2736),
        (0.1823, 0.2194, 0.2372, 0.2109, 0.1502),
        (0.2108, 0.2171, 0.2182, 0.1882, 0.1657),
    )
    """Said to be the softmax of the raw logits, row by row."""

    steps: int = 100_000
    batch_size: int = 32
    block_size: int = 8
    learning_rate: float = 1e-3

    # What the notes leave out or get wrong, recorded from a run of their own lines.
    entropy_floor: str = "2.4519"
    """H(next | current) of the train split: what the training loop approaches."""
    gap_after_training: float = 0.01
    """The most that may remain above the floor after the notes' steps."""
    loss_seeded_once: str = "4.9456"
    """Without a second manual_seed just before the model is made."""
    loss_lecture_bound: str = "4.8786"
    """With randint(len(data) - block_size), which can draw the last window too."""
    probabilities_gap: str = "0.1344"
    """The most by which the printed probabilities differ from the softmax of the raw logits."""
    probabilities_gap_place: tuple[int, int] = (1, 5)
    """Row and column of that, counted from 1."""
    analogy_point: tuple[float, float] = (1.0, -0.3)
    analogy_distance: str = "0.2"
    weight_decay: float = 0.01
    """AdamW's default, which the notes' call takes."""


TRAIN_SHARE = 0.9
"""The share of a text, from its start, that is trained on."""


def train_length(N: int) -> int:
    """Give how many of N tokens, from the start, are for training.

    Source: notes, TRAINING > [ Data ] > train_data > val_data.
    """
    return int(TRAIN_SHARE * N)
