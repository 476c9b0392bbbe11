# generate yields one token after the other; generate_all joins only the new tokens.
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

if len(sys.argv) < 2:
    print('usage: yields.py TEXT')
    sys.exit(1)

text = open(sys.argv[1]).read()
vocab_size = len(set(text))


class StreamingBigram(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx, targets=None):
        logits = self.token_embedding_table(idx)
        if targets is None:
            return logits, None
        B, T, C = logits.shape
        logits = logits.view(B * T, C)
        return logits, F.cross_entropy(logits, targets.view(B * T))

    def generate(self, idx, max_new_tokens):
        for _ in range(max_new_tokens):
            probs = F.softmax(self.token_embedding_table(idx[:, -1]), dim=-1)
            nxt = torch.multinomial(probs, 1)
            yield nxt
            idx = torch.cat((idx, nxt), dim=1)

    def generate_all(self, idx, max_new_tokens):
        return torch.cat(list(self.generate(idx, max_new_tokens)), dim=1)


model = StreamingBigram(vocab_size)
for token in model.generate(torch.zeros(1, 1, dtype=torch.long), 100):
    print(token.item(), end=' ')
