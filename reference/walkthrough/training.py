"""What the notes' training loop leaves: a loss near the floor, and another sample."""

from collections.abc import Iterator

import torch

from reference.model import BigramLanguageModel
from reference.runs.curve import LossCurve
from reference.training import estimate_loss
from reference.walkthrough.rows import Row, Section, Setting

SAMPLE = 300
"""Characters to show after training."""


def after_training(
    setting: Setting, model: BigramLanguageModel, curve: LossCurve, generator: torch.Generator
) -> Iterator[Row]:
    """Judge the loop by its loss over the whole train split, and let the trained m speak.

    Only the notes' own number of steps is judged. The generator is the model's device's.
    """
    here = Section("MAIN > TRAINING > loop")
    steps, gap = setting.config.steps, curve.loss() - curve.floor
    most = setting.figures.gap_after_training
    computed = f"{curve.loss():.4f}, {gap:.4f} above the floor {curve.floor:.4f}"
    name = f"loss after {steps:,} steps"
    if steps == setting.figures.steps:
        yield here.within(name, f"at most {most} above the floor", computed, ok=0 <= gap <= most)
    else:
        yield here.shown(
            name, computed, f"Judged after {setting.figures.steps:,} steps only, as in the notes."
        )
    corpus = setting.corpus
    there = corpus.to(model.token_embedding_table.weight.device)
    batches = torch.Generator().manual_seed(setting.seed)
    estimate = estimate_loss(model, there, generator=batches)
    yield here.shown(
        "loss on 200 batches",
        f"train {estimate['train']:.4f}, val {estimate['val']:.4f}",
        "As loops usually estimate it; the line above is exact.",
    )
    idx = torch.zeros((1, 1), dtype=torch.long, device=generator.device)
    tokens = model.generate(idx, max_new_tokens=SAMPLE, generator=generator)[0].tolist()
    yield here.shown(f"{SAMPLE} characters", corpus.vocabulary.decode(tokens))
