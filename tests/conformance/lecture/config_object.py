# The class takes a config object, made and changed by lines between the classes.
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class BigramConfig:
    vocab_size: int = 65
    dropout: float = 0.0


default_config = BigramConfig()
default_config.dropout = 0.1


class Bigram(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.vocab_size)

    def forward(self, idx, targets=None):
        logits = self.wte(idx)
        if targets is None:
            return logits, None
        loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))
        return logits, loss

    @torch.no_grad()
    def generate(self, idx, max_new_tokens):
        for _ in range(max_new_tokens):
            logits, _ = self(idx)
            idx = torch.cat((idx, torch.multinomial(F.softmax(logits[:, -1], -1), 1)), dim=1)
        return idx


def make(vocab_size):
    return Bigram(BigramConfig(vocab_size=vocab_size))


model = Bigram(default_config)
torch.save(model.state_dict(), 'ckpt.pt')
