"""Models of the library transformers: labels go in as idx does, and are shifted inside."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from reference.conformance.subjects.torch_models import Note, TorchSubject
from reference.spec.subject import Part

IGNORED = -100
"""A label that counts for nothing."""

NOTE = (
    "labels are shifted inside, as transformers does, so each target goes in as the label of the "
    "token after; generate draws from the logits as they are, without top-k and other options"
)


class HubModel(nn.Module):
    """A PreTrainedModel for causal language modelling, called as the notes call theirs.

    The library scores labels[t + 1] at position t. So that targets[t] is what is scored there, as
    in the notes, the labels are the targets with one more in front, which no position is scored
    against, and idx has one token more at its end, whose logits are dropped.

    Its generate is asked to draw from the logits as they are: without the top-k, temperature,
    penalties and last token that its own configuration may have.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401  a stranger's object
        super().__init__()
        self.model = model

    def forward(
        self, idx: Tensor, targets: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return logits and loss; under a mask, positions are counted from its first 1.

        Shape: (B, T), (B, T) or None -> (B, T, C), ().
        """
        if attention_mask is not None:
            places = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
            masked = self.model(
                input_ids=idx, attention_mask=attention_mask, position_ids=places, use_cache=False
            )
            return masked.logits, None
        if targets is None:
            return self.model(input_ids=idx, use_cache=False).logits, None
        more = torch.cat([idx, idx[:, -1:]], dim=1)  # (B, T+1)
        labels = torch.cat([torch.full_like(targets[:, :1], IGNORED), targets], dim=1)
        answer = self.model(input_ids=more, labels=labels, use_cache=False)
        return answer.logits[:, :-1], answer.loss

    def generate(
        self,
        idx: Tensor,
        max_new_tokens: int,
        *,
        use_cache: bool = True,
        do_sample: bool = True,
    ) -> object:
        """Continue idx.

        Shape: (B, T) -> (B, T + n).
        """
        model = self.model
        own = model.generation_config
        model.generation_config = type(own)(top_k=0, pad_token_id=0)  # of the rest, the defaults
        try:
            return model.generate(
                input_ids=idx,
                attention_mask=torch.ones_like(idx),
                max_new_tokens=max_new_tokens,
                use_cache=use_cache,
                do_sample=do_sample,
            )
        finally:
            model.generation_config = own


@dataclass(frozen=True, kw_only=True, eq=False)
class HubSubject(TorchSubject):
    """Such models under judgement."""

    @cached_property
    def parts(self) -> frozenset[Part]:
        """What there is: the library refuses to generate 0 tokens, whatever the model."""
        return frozenset(super().parts - {Part.GENERATE_NONE})

    @property
    def notes(self) -> list[Note]:
        """Say how the model is called."""
        return [*super().notes, Note(NOTE)]
