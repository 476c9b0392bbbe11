# The table is sized by a hyperparameter of another name, made from the text. --define n_tokens=...
import torch
import torch.nn as nn
import torch.nn.functional as F

with open('input.txt') as f:
    text = f.read()
chars = sorted(set(text))
n_tokens = len(chars)


class Bigram(nn.Module):
    def __init__(self):
        super().__init__()
        self.token_embedding_table = nn.Embedding(n_tokens, n_tokens)

    def forward(self, idx, targets=None):
        logits = self.token_embedding_table(idx)
        if targets is None:
            return logits, None
        logits = logits.view(-1, n_tokens)
        return logits, F.cross_entropy(logits, targets.view(-1))

    def generate(self, idx, max_new_tokens):
        for _ in range(max_new_tokens):
            logits, _ = self(idx)
            probs = F.softmax(logits[:, -1, :], dim=-1)
            idx = torch.cat((idx, torch.multinomial(probs, 1)), dim=1)
        return idx


def make(vocab_size):
    global n_tokens
    n_tokens = vocab_size
    return Bigram()


model = Bigram()
print(model.generate(torch.zeros(1, 1, dtype=torch.long), 10))
