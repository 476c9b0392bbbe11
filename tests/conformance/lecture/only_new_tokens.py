# generate gives back the new tokens alone, without the prompt.
import torch
import torch.nn as nn
import torch.nn.functional as F

try:
    from tqdm import tqdm
except ImportError:
    tqdm = lambda x: x

with open('../data/input.txt') as f:
    text = f.read()
vocab_size = len(set(text))


class BigramLanguageModel(nn.Module):
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
        new = idx[:, :0]
        last = idx[:, -1]
        for _ in range(max_new_tokens):
            probs = F.softmax(self.token_embedding_table(last), dim=-1)
            token = torch.multinomial(probs, 1)
            new = torch.cat((new, token), dim=1)
            last = token[:, 0]
        return new


model = BigramLanguageModel(vocab_size)
for i in tqdm(range(1000)):
    pass
