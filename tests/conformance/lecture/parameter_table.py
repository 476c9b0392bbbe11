# The table is an nn.Parameter, and looked up by indexing: -1 is taken for the last row.
import torch
import torch.nn as nn
import torch.nn.functional as F


class Bigram(nn.Module):
    """Logits of the next token, one row per token."""

    def __init__(self, n_vocab):
        super().__init__()
        self.W = nn.Parameter(torch.randn(n_vocab, n_vocab))

    def forward(self, idx, targets=None):
        logits = self.W[idx]
        if targets is None:
            return logits, None
        b, t, c = logits.shape
        logits = logits.view(b * t, c)
        return logits, F.cross_entropy(logits, targets.reshape(b * t))

    def generate(self, idx, max_new_tokens):
        for _ in range(max_new_tokens):
            logits, _ = self(idx)
            nxt = torch.multinomial(F.softmax(logits[:, -1], dim=1), 1)
            idx = torch.cat([idx, nxt], dim=1)
        return idx


def main():
    words = open('names.txt').read().splitlines()
    print(len(words))
    model = Bigram(27)
    print(model.generate(torch.zeros(1, 1, dtype=torch.long), 20))


main()
