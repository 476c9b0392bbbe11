"""The notes' training loop, many steps at a time."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped
from torch import Tensor

from reference.checks import check_count, check_finite, check_tokens, diverged
from reference.corpus import Corpus
from reference.errors import DeviceError, DtypeError
from reference.fast import cuda
from reference.fast.compiling import check_there
from reference.fast.threads import in_parts
from reference.model import BigramLanguageModel
from reference.runs.distributed import ALONE, Ranks
from reference.shapes import StoredStream
from reference.tokens.load import FiledCorpus
from reference.training import TrainConfig

PAIRS = 2**22
"""Pairs, or cells of the losses, in one call of a kernel: what bounds its memory."""

SPAN, SPAN_PAIRS = 128, 2**20
"""Steps, and pairs, that are sorted by row at a time: about what the nearer caches hold."""

LINE = 16
"""Floats in a line of the cache."""


class TrainBlock(NamedTuple):
    """Steps that have been taken together.

    Shape: losses (K,), those of the block's batches, each before its update, in nats per token.
    Units: step counts from 1, and is that of the block's last batch.
    """

    step: int
    losses: Float32[Tensor, "K"]


def train(  # noqa: PLR0913  as the reference's
    model: BigramLanguageModel,
    corpus: Corpus,
    config: TrainConfig = TrainConfig(),  # noqa: B008  frozen
    *,
    generator: torch.Generator | None = None,
    block: int | Callable[[int], int] = 1000,
    stepper: "Stepper | None" = None,
) -> Iterator[TrainBlock]:
    """Train the model in place, and hand back each block of steps as it is taken.

    The reference's `train`: the same batches for the same generator, and AdamW with the same
    settings, so that the table differs by rounding only. The model is handed back at every multiple
    of `block` steps, or when as many are taken as `block(taken)` says, and more often where batches
    are large. Leaving the loop early leaves it, and the generator, as after the last block; so does
    an interruption in the midst of one. To go on from there, hand in the same generator and the
    same `stepper`. The table does not depend on how steps are divided into blocks.

    Shape: batches (B, T) with B = batch_size and T = block_size, from the train split.
    Raises: NonFiniteLossError at the first loss that is NaN or infinite, before the model is
        changed by it, and where the last step left the table so; MissingExtraError where Numba, or
        on CUDA Triton, is not installed; DtypeError where the table is not float32; what
        `Corpus.check_length` and the reference's forward raise; OutOfRangeError for `block`.
    Source: notes, loop > get_batch > zero_grad > backward > step.
    """
    ends = block if callable(block) else _multiples(block)
    B, T = config.batch_size, config.block_size
    corpus.check_length("train", T)
    stepper = stepper or Stepper(model, learning_rate=config.learning_rate)
    # Whether each token was found to be one of the vocabulary when its file was opened.
    verified = isinstance(corpus, FiledCorpus) and corpus.verified
    verified = verified and len(corpus.vocabulary) <= model.vocab_size
    data = stepper.prepared(corpus.train, verified=verified)
    last = len(corpus.train) - T - 1
    stream = torch.default_generator if generator is None else generator
    at_once = max(1, PAIRS // max(B * T, model.vocab_size))
    while stepper.taken < config.steps:
        # A block ends where it should even where memory allows only part of it at once.
        K = min(at_once, ends(stepper.taken) - stepper.taken, config.steps - stepper.taken)
        before = stream.get_state()
        try:
            # K times B offsets are drawn as K batches would draw them, one after the other.
            offsets = torch.randint(last, (K, B), generator=generator)
            losses = stepper.take(data, offsets, block_size=T)
        except BaseException:  # Ctrl-C too
            stream.set_state(before)
            raise
        if len(losses) < K:
            stream.set_state(before)
            torch.randint(last, (len(losses) + 1, B), generator=generator)  # the bad one's too
            raise diverged(
                f"loss is {stepper.refused} at step {stepper.taken + 1} of {config.steps}",
                config.learning_rate,
            )
        yield TrainBlock(stepper.taken, losses)
    check_finite(model.token_embedding_table.weight, config.steps, config.learning_rate)


def _multiples(block: int) -> Callable[[int], int]:
    check_count("block", block, minimum=1)
    return lambda taken: taken + block - taken % block


class Stepper:
    """AdamW's means for one model, and the steps that were taken.

    Of several ranks each takes the steps of some rows, as a row needs no other; nothing is sent
    before a block's end. How many there are does not change a bit of the result.
    """

    def __init__(
        self, model: BigramLanguageModel, *, learning_rate: float, ranks: Ranks = ALONE
    ) -> None:
        self.table = model.token_embedding_table.weight
        if self.table.dtype != torch.float32:
            raise DtypeError(
                f"the table has dtype {self.table.dtype}; the engine trains torch.float32"
            )
        if self.table.is_cuda and ranks.size > 1:
            raise DeviceError(
                f"the engine trains on one GPU, and not on {ranks.size} ranks; use "
                "--engine reference, or --device cpu"
            )
        self.learning_rate = learning_rate
        self.ranks = ranks
        self.taken = 0
        self.refused = 0.0
        """The loss at which the last call stopped, if it did."""
        C = len(self.table)
        width = C if self.table.is_cuda else (C + LINE - 1) // LINE * LINE
        self._state = torch.zeros((3, C, width), device=self.table.device)  # table, mean, square
        if not self.table.is_cuda:
            check_there()

    def means(self) -> tuple[Float32[Tensor, "C C"], Float32[Tensor, "C C"]]:
        """Give the running means of the gradient, and of its square, as they are now.

        Shape: (C, C), twice.
        Raises: LostRankError.
        """
        for means in self._state[1:]:
            self.ranks.exchange_rows(means)
        _table, mean, square = self._state[:, :, : len(self.table)].clone()
        return mean, square

    def restore(
        self, taken: int, mean: Float32[Tensor, "C C"], square: Float32[Tensor, "C C"]
    ) -> None:
        """Go on as after `taken` steps that ended with these means.

        Shape: (C, C), twice.
        """
        self.taken = taken
        self._state[1, :, : len(self.table)] = mean
        self._state[2, :, : len(self.table)] = square

    def prepared(self, tokens: StoredStream, *, verified: bool = False) -> Tensor:
        """Give the tokens as `take` wants them: on the table's device, and there in few bytes.

        What stands in a file stays there, and is not read again where that is `verified`.

        Shape: (N,) -> (N,), of another type.
        Raises: TokenRangeError.
        """
        C = len(self.table)
        if not verified:
            check_tokens("data", tokens, vocab_size=C)
        if self.table.is_cuda:
            if tokens.dtype == torch.uint16:  # with which torch can do hardly anything there
                tokens = tokens.int()
            return tokens.to(self.table.device).contiguous()
        if tokens.dtype != torch.int64:
            return tokens.cpu()
        fits = torch.uint8 if C <= 2**8 else torch.uint16 if C <= 2**16 else torch.int32
        return tokens.cpu().to(fits)

    def take(
        self, data: Shaped[Tensor, "N"], offsets: Int64[Tensor, "K B"], *, block_size: int
    ) -> Float32[Tensor, "k"]:
        """Take a step for each batch of windows, up to the first whose loss is not finite.

        Shape: offsets (K, B), of windows (T,) with T = block_size, -> losses (k,), k <= K.
        """
        losses, state = self._try(data, offsets, block_size)
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            k = int(bad[0])
            self.refused = losses[k].item()
            losses, offsets = losses[:k], offsets[:k]
            if k:
                _same, state = self._try(data, offsets, block_size)
        if len(losses):
            with torch.no_grad():
                self.table.copy_(state[0, :, : len(self.table)])
            self._state = state
            self.taken += len(losses)
        return losses

    def _try(
        self, data: Shaped[Tensor, "N"], offsets: Int64[Tensor, "K B"], block_size: int
    ) -> tuple[Float32[Tensor, "K"], Float32[Tensor, "3 C W"]]:
        """Take all steps on a copy, so that whatever happens meanwhile leaves nothing half done."""
        state = self._state.clone()
        C = len(self.table)
        state[0, :, :C] = self.table.detach()
        if self.table.is_cuda:
            table, mean, square = state
            losses = cuda.train_steps(
                table,
                mean,
                square,
                data,
                offsets.to(data.device),
                block_size=block_size,
                first=self.taken,
                learning_rate=self.learning_rate,
            )
            return losses.cpu(), state
        from reference.fast import kernels  # noqa: PLC0415  Numba is optional

        K, B = offsets.shape
        table, mean, square = state.numpy()
        span = max(1, min(SPAN, SPAN_PAIRS // (B * block_size)))
        parts_of_loss = np.empty((C, K), np.float32)
        rank, ranks = self.ranks.rank, self.ranks.size

        def work(part: int, parts: int) -> None:
            kernels.train_rows(
                table,
                mean,
                square,
                data.numpy(),
                offsets.numpy(),
                block_size,
                self.taken,
                self.learning_rate,
                span,
                rank + part * ranks,  # of this rank's rows, every parts-th
                ranks * parts,
                parts_of_loss,
            )

        in_parts(work, most=C)
        self.ranks.exchange_rows(state[0])
        self.ranks.exchange_rows(torch.from_numpy(parts_of_loss))
        mean = parts_of_loss.sum(axis=0, dtype=np.float64) / (B * block_size)
        return torch.from_numpy(mean.astype(np.float32)), state
