"""What type checkers must accept, and (each ignore being needed) what they must refuse.

mypy reads this file; nothing runs it.
"""

from typing import assert_type

import torch
from torch import Tensor

from reference import (
    BigramLanguageModel,
    Corpus,
    LanguageModel,
    TrainConfig,
    Vocabulary,
    estimate_loss,
    get_batch,
    load_corpus,
    train,
)

idx = torch.zeros((1, 1), dtype=torch.long)
m = BigramLanguageModel(65)

# Without targets there is no loss; with them there is one.
logits, none = m(idx)
assert_type(none, None)
flat, loss = m(idx, idx)
assert_type(loss, Tensor)
assert_type(m.forward(idx, targets=idx), tuple[Tensor, Tensor])
assert_type(m.generate(idx, 3), Tensor)

# The model keeps the protocol.
as_protocol: LanguageModel = m
assert_type(as_protocol.forward(idx), tuple[Tensor, None])

corpus = load_corpus("twin")
assert_type(corpus, Corpus)
assert_type(corpus.get_batch("train", 8, 32), tuple[Tensor, Tensor])
assert_type(Vocabulary("ab").decode([0, 1]), str)
for step, value in train(m, corpus, TrainConfig(steps=3)):
    assert_type(step, int)
    assert_type(value, float)
assert_type(estimate_loss(m, corpus), dict[str, float])

_ = m(idx).missing  # type: ignore[attr-defined]
m.generate(idx, "3")  # type: ignore[arg-type]
m.generate(idx, 3, torch.Generator())  # type: ignore[call-arg]
get_batch(corpus.train, 8)  # type: ignore[call-arg]
TrainConfig(8)  # type: ignore[call-arg]
none.backward()  # type: ignore[attr-defined]
