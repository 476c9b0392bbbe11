# The class takes no argument: its table is sized by the global vocab_size. Works on a text.
import torch
from torch import nn
import torch.nn.functional as F

text = open('input.txt', encoding='utf8').read()
alphabet = sorted(set(text))
vocab_size = len(alphabet)
block_size = 16


class BigramLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, x, targets=None):
        logits = self.token_embedding_table(x)
        loss = None
        if targets is not None:
            logits = logits.view(-1, vocab_size)
            loss = F.cross_entropy(logits, targets.view(-1))
        return logits, loss

    @torch.no_grad()
    def generate(self, idx, max_new_tokens):
        for _ in range(max_new_tokens):
            p = torch.softmax(self(idx[:, -block_size:])[0][:, -1], -1)
            idx = torch.cat((idx, p.multinomial(1)), 1)
        return idx


net = BigramLM()
opt = torch.optim.SGD(net.parameters(), lr=0.1)
ids = torch.tensor([alphabet.index(c) for c in text])
for epoch in range(5):
    for i in range(0, len(ids) - block_size - 1, block_size):
        loss = net(ids[None, i:i + block_size], ids[None, i + 1:i + block_size + 1])[1]
        opt.zero_grad(); loss.backward(); opt.step()
    print(epoch, loss.item())
