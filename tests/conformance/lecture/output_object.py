# forward gives an object with .loss and .logits, as Hugging Face's models do; annotations are strings.
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Output:
    logits: torch.FloatTensor
    loss: Optional[torch.FloatTensor] = None


class BigramForCausalLM(nn.Module):
    def __init__(self, vocab_size: int):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx: torch.LongTensor, targets: Optional[torch.LongTensor] = None) -> Output:
        logits = self.embed(idx)
        loss = None
        if targets is not None:
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))
        return Output(logits=logits, loss=loss)

    @torch.no_grad()
    def generate(self, idx: torch.LongTensor, max_new_tokens: int) -> torch.LongTensor:
        for _ in range(max_new_tokens):
            probs = self(idx).logits[:, -1].softmax(dim=-1)
            idx = torch.cat([idx, torch.multinomial(probs, 1)], dim=1)
        return idx


model = BigramForCausalLM(len(set(open("input.txt").read())))
print(sum(p.numel() for p in model.parameters()), "parameters")
