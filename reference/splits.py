"""How much of a text is trained on."""

TRAIN_SHARE = 0.9
"""The share of a text, from its start, that is trained on."""


def train_length(N: int) -> int:
    """Give how many of N tokens, from the start, are for training.

    Source: notes, TRAINING > [ Data ] > train_data > val_data.
    """
    return int(TRAIN_SHARE * N)
