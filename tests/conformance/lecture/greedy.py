# generate takes the likeliest token, and draws none.
import torch
import torch.nn as nn
import torch.nn.functional as F

name = input("which file? ")
text = open(name).read()
vocab_size = len(set(text))


class BigramLanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super(BigramLanguageModel, self).__init__()
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
            logits, _ = self.forward(idx)
            token = logits[:, -1, :].argmax(dim=-1, keepdim=True)
            idx = torch.cat((idx, token), dim=1)
        return idx


model = BigramLanguageModel(vocab_size)
print(model.generate(torch.zeros((1, 1), dtype=torch.long), 30))
