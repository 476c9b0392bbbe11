# With targets the logits stay (B,T,C); the loss is taken over (B,C,T).
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
corpus = open("input.txt").read()
vocab = sorted(set(corpus))
vocab_size = len(vocab)


class BigramLanguageModel(nn.Module):
    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx: torch.Tensor, targets: torch.Tensor | None = None):
        logits = self.token_embedding_table(idx)
        if targets is None:
            return logits, None
        loss = F.cross_entropy(logits.transpose(1, 2), targets)
        return logits, loss

    def generate(self, idx: torch.Tensor, max_new_tokens: int) -> torch.Tensor:
        for _ in range(max_new_tokens):
            logits, _ = self(idx)
            idx = torch.cat([idx, torch.multinomial(logits[:, -1].softmax(-1), 1)], 1)
        return idx


model = BigramLanguageModel(vocab_size)
step = 0
while True:
    start = torch.randint(len(corpus) - 9, (1,)).item()
    chunk = torch.tensor([[vocab.index(c) for c in corpus[start:start + 9]]])
    logits, loss = model(chunk[:, :-1], chunk[:, 1:])
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
            p.grad = None
    step += 1
    if loss.item() < 2.4:
        break
print("done after", step)
