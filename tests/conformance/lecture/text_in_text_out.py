# The class decodes by dicts that a loop below it fills from a fixed alphabet; a helper, too.
import string

import torch
import torch.nn as nn
import torch.nn.functional as F

stoi = {}
itos = []


class BigramLanguageModel(nn.Module):
    def __init__(self, vocab_size=None):
        super().__init__()
        vocab_size = vocab_size or len(itos)
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
            probs = F.softmax(self(idx)[0][:, -1, :], dim=-1)
            idx = torch.cat((idx, torch.multinomial(probs, 1)), dim=1)
        return idx

    def say(self, prompt, max_new_tokens):
        idx = torch.tensor([[stoi[c] for c in prompt]])
        return decode(self.generate(idx, max_new_tokens)[0].tolist())


def decode(ids):
    return ''.join(itos[i] for i in ids)


for ch in string.ascii_lowercase + ' ':
    stoi[ch] = len(itos)
    itos.append(ch)

model = BigramLanguageModel()
print(model.say('hello ', 20))
stoi.clear()
itos.clear()
