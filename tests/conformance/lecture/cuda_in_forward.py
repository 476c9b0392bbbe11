# Hard-codes device = 'cuda' and moves what comes in there: it loads, and runs on a GPU only.
import torch
import torch.nn as nn
import torch.nn.functional as F

device = 'cuda'
torch.cuda.set_device(0)
scratch = torch.zeros(1, device=device)


class BigramLanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx, targets=None):
        idx = idx.to(device)
        logits = self.token_embedding_table(idx)
        if targets is None:
            return logits, None
        targets = targets.to(device)
        B, T, C = logits.shape
        logits = logits.view(B * T, C)
        return logits, F.cross_entropy(logits, targets.view(B * T))

    def generate(self, idx, max_new_tokens):
        for _ in range(max_new_tokens):
            logits, _ = self(idx)
            probs = F.softmax(logits[:, -1, :], dim=-1)
            idx = torch.cat((idx, torch.multinomial(probs, 1)), dim=1)
        return idx


model = BigramLanguageModel(65).to(device)
