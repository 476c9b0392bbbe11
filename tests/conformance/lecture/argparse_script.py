"""Train a character bigram."""
# Settings come from the command line; the class reads one of them through a global.
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument('--input', default='input.txt')
parser.add_argument('--std', type=float, default=0.5)
group = parser.add_argument_group('sampling')
group.add_argument('--length', type=int, default=100)
args = parser.parse_args()
init_std = args.std


class BigramLanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)
        nn.init.normal_(self.token_embedding_table.weight, std=init_std)

    def forward(self, idx, targets=None):
        logits = self.token_embedding_table(idx)
        if targets is None:
            return logits, None
        B, T, C = logits.shape
        logits = logits.view(B * T, C)
        return logits, F.cross_entropy(logits, targets.view(B * T))

    def generate(self, idx, max_new_tokens=args.length):
        for _ in range(max_new_tokens):
            logits, _ = self(idx)
            probs = F.softmax(logits[:, -1, :], dim=-1)
            idx = torch.cat((idx, torch.multinomial(probs, 1)), dim=1)
        return idx


text = open(args.input).read()
model = BigramLanguageModel(len(set(text)))
print(model)
