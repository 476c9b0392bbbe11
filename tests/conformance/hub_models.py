"""GPT-2 of transformers, tiny and new, and wrong twins of it."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel


def config(vocab_size: int) -> GPT2Config:
    return GPT2Config(
        vocab_size=vocab_size, n_positions=65, n_embd=16, n_layer=2, n_head=2, eos_token_id=0
    )


def make(vocab_size: int) -> GPT2LMHeadModel:
    return GPT2LMHeadModel(config(vocab_size))


class Unshifted(GPT2LMHeadModel):  # type: ignore[no-untyped-call]  # theirs
    def forward(self, input_ids: Tensor, labels: Tensor | None = None, **more: object) -> Any:
        answer = super().forward(input_ids, **more)
        if labels is not None:
            answer.loss = F.cross_entropy(answer.logits.flatten(0, 1), labels.flatten())
        return answer


def unshifted(vocab_size: int) -> Unshifted:
    return Unshifted(config(vocab_size))


class Standing(GPT2LMHeadModel):  # type: ignore[no-untyped-call]  # theirs
    def forward(self, input_ids: Tensor, **more: object) -> Any:
        more["position_ids"] = torch.arange(input_ids.shape[1])[None]
        return super().forward(input_ids, **more)


def standing(vocab_size: int) -> Standing:
    return Standing(config(vocab_size))
