"""The notes' model, which tests change in one place."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Right(nn.Module):
    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        logits = self.token_embedding_table(idx)
        if targets is None:
            return logits, None
        logits = logits.flatten(0, 1)
        return logits, F.cross_entropy(logits, targets.flatten())

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            logits, _loss = self(idx)
            drawn = torch.multinomial(F.softmax(logits[:, -1, :], dim=1), num_samples=1)
            idx = torch.cat((idx, drawn), dim=1)
        return idx
