# Training stands in main(), called at the bottom; the seed and the loop's state are globals.
import torch
import torch.nn as nn
import torch.nn.functional as F

best_loss = None
dropout = 0.0


class BigramLanguageModel(nn.Module):
    def __init__(self, vocab_size, dropout=dropout):
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, idx, targets=None):
        logits = self.dropout(self.token_embedding_table(idx))
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


def train_step(model, optimizer, xb, yb):
    logits, loss = model(xb, yb)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


def softmax(logits):
    return F.softmax(logits, dim=-1)


def main():
    global best_loss
    data = torch.randint(27, (1000,))
    model = BigramLanguageModel(27)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(100000):
        ix = torch.randint(990, (32,))
        x = torch.stack([data[i:i + 8] for i in ix])
        best_loss = train_step(model, optimizer, x, x.roll(-1, 1))
    return model


model = main()
print(best_loss)
