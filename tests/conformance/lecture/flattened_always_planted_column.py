# Planted: looks up the column, not the row. And the logits are flat with or without targets.
import torch
import torch.nn as nn
import torch.nn.functional as F

vocab_size = 65


class BigramLanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.table = nn.Parameter(torch.randn(vocab_size, vocab_size))

    def forward(self, idx, targets=None):
        logits = self.table.T[idx]
        B, T, C = logits.shape
        logits = logits.reshape(B * T, C)
        loss = None if targets is None else F.cross_entropy(logits, targets.reshape(B * T))
        return logits, loss

    def generate(self, idx, max_new_tokens):
        for _ in range(max_new_tokens):
            B, T = idx.shape
            logits = self(idx)[0].view(B, T, -1)[:, -1]
            idx = torch.cat((idx, torch.multinomial(F.softmax(logits, -1), 1)), dim=1)
        return idx


model = BigramLanguageModel(vocab_size)
open('ran_to_the_end.txt', 'w').write('yes')
