# forward has no targets and gives bare logits; the loss is taken outside; generate is a function.
import torch
import torch.nn as nn
import torch.nn.functional as F


class Bigram(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx):
        return self.table(idx)


def loss_of(model, x, y):
    logits = model(x)
    return F.cross_entropy(logits.reshape(-1, logits.size(-1)), y.reshape(-1))


def generate(model, idx, max_new_tokens):
    for _ in range(max_new_tokens):
        probs = F.softmax(model(idx)[:, -1, :], dim=-1)
        idx = torch.cat((idx, torch.multinomial(probs, num_samples=1)), dim=1)
    return idx


text = open('shakespeare.txt').read()
ids = {c: i for i, c in enumerate(sorted(set(text)))}
model = Bigram(len(ids))
data = torch.tensor([ids[c] for c in text])
optimizer = torch.optim.Adam(model.parameters())


def train(steps):
    for _ in range(steps):
        ix = torch.randint(len(data) - 9, (32,))
        x = torch.stack([data[i:i + 8] for i in ix])
        y = torch.stack([data[i + 1:i + 9] for i in ix])
        loss = loss_of(model, x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss


print(train(20000))
