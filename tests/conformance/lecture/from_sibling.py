# Takes its table from a module beside it, and imports another one inside a method.
import torch
import torch.nn as nn
from torch.nn.functional import cross_entropy

from sibling_layers import *


class BigramLanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.table = Table(vocab_size)

    def forward(self, idx, targets=None):
        logits = self.table(idx)
        if targets is None:
            return logits, None
        logits = logits.flatten(0, 1)
        return logits, cross_entropy(logits, targets.flatten())

    def generate(self, idx, max_new_tokens):
        from sibling_layers import sample
        for _ in range(max_new_tokens):
            logits, _ = self(idx)
            idx = torch.cat((idx, sample(logits[:, -1])), dim=1)
        return idx


print(BigramLanguageModel(65))
