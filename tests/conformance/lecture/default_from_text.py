# The argument's default is read off the text when the class is defined. --define vocab_size=65
import torch
import torch.nn as nn
import torch.nn.functional as F

text = open('input.txt').read()
vocab_size = len(set(text))


class BigramLanguageModel(nn.Module):
    def __init__(self, vocab_size=vocab_size):
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
            logits, _ = self(idx)
            probs = F.softmax(logits[:, -1, :], dim=-1)
            idx = torch.cat((idx, torch.multinomial(probs, 1)), dim=1)
        return idx


m = BigramLanguageModel()
