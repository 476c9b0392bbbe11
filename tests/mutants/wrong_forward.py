"""Wrong in what forward gives, and the notes' class that all of the zoo is made from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from zoo import wrong

from reference.conformance.subjects.torch_models import TorchSubject


class Notes(nn.Module):
    """The notes' class, word for word, which the others change in one place."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
        logits = self.token_embedding_table(idx)  # (B,T,C)
        if targets is None:
            loss = None
        else:
            B, T, C = logits.shape
            logits = logits.view(B * T, C)
            targets = targets.view(B * T)
            loss = F.cross_entropy(logits, targets)
        return logits, loss

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            logits, _loss = self(idx)
            logits = logits[:, -1, :]  # becomes (B, C)
            probs = F.softmax(logits, dim=1)  # (B, C)
            idx_next = torch.multinomial(probs, num_samples=1)  # (B, 1)
            idx = torch.cat((idx, idx_next), dim=1)  # (B, T+1)
        return idx


class Apart(Notes):
    """The same, with a generate that looks up by itself, for a forward that it could not use."""

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        plain = Notes(1)
        plain.token_embedding_table = self.token_embedding_table
        return plain.generate(idx, max_new_tokens)


def looking_up(lookup: Callable[[Tensor, Tensor], Tensor]) -> TorchSubject:
    """Give the notes' model with another lookup: (table, idx) -> (B, T, C)."""

    class Table(nn.Embedding):
        def forward(self, idx: Tensor) -> Tensor:
            return lookup(self.weight, idx).contiguous()

    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.token_embedding_table = Table(vocab_size, vocab_size)

    return TorchSubject(factory=M)


def scoring(change: Callable[[Tensor, Tensor], Tensor]) -> TorchSubject:
    """Give the notes' model with its logits changed: (logits, idx) -> logits, (B, T, C)."""
    return looking_up(lambda table, idx: change(F.embedding(idx, table), idx))


def losing(loss: Callable[[Tensor, Tensor], Tensor]) -> TorchSubject:
    """Give the notes' model with another loss: (logits (B*T, C), targets (B, T)) -> loss."""

    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, _none = super().forward(idx)
            if targets is None:
                return logits, None
            logits = logits.flatten(0, 1)
            return logits, loss(logits, targets)

    return TorchSubject(factory=M)


# For forward.returns


@wrong("forward.returns", "returns the logits alone")
def alone() -> TorchSubject:
    class M(Apart):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            return logits if targets is None else (logits, loss)

    return TorchSubject(factory=M)


@wrong("forward.returns", "returns a dict")
def dictionary() -> TorchSubject:
    class M(Apart):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            return {"logits": logits, "loss": loss}

    return TorchSubject(factory=M)


@wrong("forward.returns", "returns the loss first")
def loss_first() -> TorchSubject:
    class M(Apart):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return super().forward(idx, targets)[::-1]

    return TorchSubject(factory=M)


@wrong("forward.returns", "returns an object with .logits and .loss, and no adapter is named")
def output() -> TorchSubject:
    @dataclass
    class Output:
        logits: Tensor
        loss: Tensor | None

    class M(Apart):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return Output(*super().forward(idx, targets))

    return TorchSubject(factory=M)


@wrong("forward.returns", "cannot be called without targets")
def targets_required() -> TorchSubject:
    class M(Apart):
        def forward(self, idx: Tensor, targets: Tensor) -> Any:  # type: ignore[override]  # another signature, on purpose
            return super().forward(idx, targets)

    return TorchSubject(factory=M)


@wrong("forward.returns", "returns a hidden state as the third")
def third() -> TorchSubject:
    class M(Apart):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return *super().forward(idx, targets), None

    return TorchSubject(factory=M)


# For forward.logits.shape


def reshaping(change: Callable[[Tensor], Tensor]) -> TorchSubject:
    """Change the logits where there are no targets."""

    class M(Apart):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            return (change(logits) if targets is None else logits), loss

    return TorchSubject(factory=M)


@wrong("forward.logits.shape", "scores the last position only, where there are no targets")
def last_only() -> TorchSubject:
    return reshaping(lambda logits: logits[:, [-1], :])


@wrong("forward.logits.shape", "drops the time where there are no targets: (B, C)")
def no_time() -> TorchSubject:
    return reshaping(lambda logits: logits[:, -1])


@wrong("forward.logits.shape", "flattens the logits without targets too")
def always_flat() -> TorchSubject:
    return reshaping(lambda logits: logits.flatten(0, 1))


@wrong("forward.logits.shape", "gives the logits as (B, C, T)")
def classes_second() -> TorchSubject:
    return reshaping(lambda logits: logits.transpose(1, 2))


@wrong("forward.logits.shape", "gives the logits with time first")
def time_first() -> TorchSubject:
    return reshaping(lambda logits: logits.transpose(0, 1))


@wrong("forward.logits.shape", "squeezes a batch of one away")
def squeezed() -> TorchSubject:
    return reshaping(lambda logits: logits.squeeze(0))


@wrong("forward.logits.shape", "squeezes a vocabulary of one away")
def squeezed_classes() -> TorchSubject:
    return reshaping(lambda logits: logits.squeeze(-1))


@wrong("forward.logits.shape", "pads the vocabulary to a multiple of 8, and the logits with it")
def padded() -> TorchSubject:
    return reshaping(lambda logits: F.pad(logits, (0, -logits.shape[-1] % 8)))


# For forward.logits.dtype


@wrong("forward.logits.dtype", "gives the logits in half precision")
def half() -> TorchSubject:
    return scoring(lambda logits, idx: logits.half())


@wrong("forward.logits.dtype", "gives the logits in double precision")
def double() -> TorchSubject:
    return scoring(lambda logits, idx: logits.double())


@wrong("forward.logits.dtype", "multiplies with one-hot rows under autocast, in bfloat16")
def autocast() -> TorchSubject:
    def lookup(table: Tensor, idx: Tensor) -> Tensor:
        one_hot = F.one_hot(idx, len(table)).float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return one_hot @ table

    return looking_up(lookup)


# For forward.loss.none


@wrong("forward.loss.none", "gives the loss 0 where there are no targets")
def zero_loss() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            return logits, torch.tensor(0.0) if loss is None else loss

    return TorchSubject(factory=M)


@wrong("forward.loss.none", "takes the tokens for targets where there are none")
def own_targets() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            if loss is None:
                loss = F.cross_entropy(logits.flatten(0, 1), idx.flatten())
            return logits, loss

    return TorchSubject(factory=M)


@wrong("forward.loss.none", "keeps the loss of the call before")
def stale_loss() -> TorchSubject:
    class M(Notes):
        loss: Tensor | None = None

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            if loss is not None:
                self.loss = loss
            return logits, self.loss

    return TorchSubject(factory=M)


# For forward.repeatable


@wrong("forward.repeatable", "drops logits out in evaluation too")
def always_dropout() -> TorchSubject:
    return scoring(lambda logits, idx: F.dropout(logits, 0.2))


@wrong("forward.repeatable", "adds a little noise to the logits")
def noise() -> TorchSubject:
    return scoring(lambda logits, idx: logits + 1e-4 * torch.randn_like(logits))


@wrong("forward.repeatable", "gives the first answer to every call")
def first_answer() -> TorchSubject:
    class M(Apart):
        first: Any = None

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            if targets is not None:
                return super().forward(idx, targets)
            if self.first is None or self.first[0].shape[:2] != idx.shape:
                self.first = super().forward(idx)
            return self.first

    return TorchSubject(factory=M)


@wrong("forward.repeatable", "is wrong from the second call on")
def second_call() -> TorchSubject:
    class M(Notes):
        calls = 0

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            self.calls += 1
            logits, loss = super().forward(idx, targets)
            return (logits if self.calls == 1 else logits * 1.01), loss

    return TorchSubject(factory=M)


@wrong("forward.repeatable", "remembers the last token of the call before")
def recurrent() -> TorchSubject:
    class M(Apart):
        state: Tensor | float = 0.0

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            logits = logits + self.state
            self.state = 0.1 * logits.detach().reshape(-1, logits.shape[-1])[-1]
            return logits, loss

    return TorchSubject(factory=M)


@wrong("forward.repeatable", "writes every answer into one buffer")
def one_buffer() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            if targets is not None:
                return logits, loss
            if getattr(self, "buffer", torch.empty(0)).shape != logits.shape:
                self.buffer = torch.empty_like(logits)
            return self.buffer.copy_(logits.detach()), None

    return TorchSubject(factory=M)


# For forward.modes


@wrong("forward.modes", "drops logits out while training")
def dropout() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            return F.dropout(logits, 0.1, self.training), loss

    return TorchSubject(factory=M)


@wrong("forward.modes", "scales the logits while training")
def scaled_in_training() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            return (logits * 1.1 if self.training else logits), loss

    return TorchSubject(factory=M)


@wrong("forward.modes", "has an eval() that raises")
def no_eval() -> TorchSubject:
    class M(Notes):
        def eval(self) -> "M":
            raise NotImplementedError("there is nothing to evaluate")

    return TorchSubject(factory=M)


# For forward.batch-independent


@wrong("forward.batch-independent", "subtracts the greatest score over the batch")
def batch_greatest() -> TorchSubject:
    return scoring(lambda logits, idx: logits - logits.amax(dim=0) * (len(idx) > 1))


@wrong("forward.batch-independent", "lets a little of each sequence leak into the next")
def batch_leak() -> TorchSubject:
    return scoring(lambda logits, idx: logits + 1e-5 * logits.roll(1, 0) * (len(idx) > 1))


@wrong("forward.batch-independent", "is wrong for an odd number of sequences")
def odd_batch() -> TorchSubject:
    return scoring(lambda logits, idx: logits * (1 + 0.1 * (len(idx) % 2)))


@wrong("forward.batch-independent", "is wrong at B = 1")
def batch_of_one() -> TorchSubject:
    return scoring(lambda logits, idx: logits * (1 + 0.1 * (len(idx) == 1)))


@wrong("forward.batch-independent", "is wrong for more than 16 sequences")
def many_sequences() -> TorchSubject:
    return scoring(lambda logits, idx: logits * (1 + 0.1 * (len(idx) > 16)))


@wrong("forward.batch-independent", "takes the first sequence's scores for all")
def first_sequence() -> TorchSubject:
    return scoring(lambda logits, idx: logits[:1].repeat(len(idx), 1, 1))


@wrong("forward.batch-independent", "mixes sequences as an attention over the batch does")
def batch_attention() -> TorchSubject:
    def mix(logits: Tensor, idx: Tensor) -> Tensor:
        weights = torch.einsum("btc,dtc->tbd", logits, logits).softmax(dim=-1)
        return torch.einsum("tbd,dtc->btc", weights, logits)

    return scoring(mix)


# For forward.memoryless


def earlier(T: int) -> Tensor:
    """Give the weights of a mean over the positions up to each: (T, T)."""
    weights = torch.tril(torch.ones(T, T))
    return weights / weights.sum(dim=1, keepdim=True)


@wrong("forward.memoryless", "adds a number for the position")
def positions() -> TorchSubject:
    return scoring(lambda logits, idx: logits + 0.1 * torch.arange(idx.shape[1])[:, None])


@wrong("forward.memoryless", "takes the mean of the context")
def mean_of_context() -> TorchSubject:
    return scoring(lambda logits, idx: earlier(idx.shape[1]) @ logits)


@wrong("forward.memoryless", "takes the mean of the whole sequence")
def mean_of_all() -> TorchSubject:
    return scoring(lambda logits, idx: logits.mean(dim=1, keepdim=True).expand_as(logits))


@wrong("forward.memoryless", "masks along the wrong axis")
def wrong_mask() -> TorchSubject:
    return scoring(lambda logits, idx: earlier(idx.shape[1]).t() @ logits)


@wrong("forward.memoryless", "normalises over time, as a LayerNorm on the wrong axis")
def norm_over_time() -> TorchSubject:
    def norm(logits: Tensor, idx: Tensor) -> Tensor:
        return F.layer_norm(logits.transpose(1, 2), idx.shape[1:]).transpose(1, 2)

    return scoring(norm)


@wrong("forward.memoryless", "lets a little of the next token leak")
def next_leak() -> TorchSubject:
    return scoring(lambda logits, idx: logits + 1e-5 * logits.roll(-1, 1) * (idx.shape[1] > 1))


@wrong("forward.memoryless", "adds half of the previous token's row: a trigram model")
def trigram() -> TorchSubject:
    return scoring(lambda logits, idx: logits + 0.5 * F.pad(logits, (0, 0, 1, -1)))


@wrong("forward.memoryless", "reads each sequence backwards")
def backwards() -> TorchSubject:
    return scoring(lambda logits, idx: logits.flip(1))


@wrong("forward.memoryless", "is wrong at T = 1")
def single_token() -> TorchSubject:
    return scoring(lambda logits, idx: logits * (1 + 0.1 * (idx.shape[1] == 1)))


@wrong("forward.memoryless", "is wrong at the last position of a sequence")
def last_position() -> TorchSubject:
    def change(logits: Tensor, idx: Tensor) -> Tensor:
        return torch.cat([logits[:, :-1], logits[:, -1:] * 1.1], dim=1)

    return scoring(change)


@wrong("forward.memoryless", "reshapes the logits down the columns")
def down_columns() -> TorchSubject:
    def turn(logits: Tensor, idx: Tensor) -> Tensor:
        return logits.transpose(0, 1).reshape(logits.shape)

    return scoring(turn)


# For forward.non-contiguous


@wrong("forward.non-contiguous", "flattens idx with view, which refuses a transposed one")
def viewed() -> TorchSubject:
    return looking_up(lambda table, idx: F.embedding(idx.view(-1), table).view(*idx.shape, -1))


@wrong("forward.non-contiguous", "reads the tokens in the order of memory")
def memory_order() -> TorchSubject:
    def lookup(table: Tensor, idx: Tensor) -> Tensor:
        flat = torch.from_numpy(idx.numpy().ravel(order="K").copy())
        return F.embedding(flat.view(idx.shape), table)

    return looking_up(lookup)


# For forward.call


@wrong("forward.call", "has a hook that doubles the logits")
def hooked() -> TorchSubject:
    def double(_module: nn.Module, _given: object, out: Any) -> Any:
        return 2 * out[0], out[1]

    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.register_forward_hook(double)

    return TorchSubject(factory=M)


@wrong("forward.call", "scales in __call__ what forward gives")
def called() -> TorchSubject:
    class M(Notes):
        def __call__(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().__call__(idx, targets)
            return logits / 0.8, loss

    return TorchSubject(factory=M)


@wrong("forward.call", "looks the row up in forward, and scores tokens only by __call__")
def split_in_two() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            return logits.tanh(), loss

        def __call__(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return super().forward(idx, targets)

    return TorchSubject(factory=M)


# For forward.pure


@wrong("forward.pure.inputs", "counts the tokens from 1 while it looks them up, in place")
def counts_from_one() -> TorchSubject:
    class M(Apart):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            answer = super().forward(idx, targets)
            idx += 1
            return answer

    return TorchSubject(factory=M)


@wrong("forward.pure.inputs", "marks the targets that it has counted with -100")
def marks_targets() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            answer = super().forward(idx, targets)
            if targets is not None:
                targets[:, -1] = -100
            return answer

    return TorchSubject(factory=M)


@wrong("forward.pure.inputs", "turns the targets on their side in place")
def turns_targets() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            answer = super().forward(idx, targets)
            if targets is not None:
                targets.t_()
            return answer

    return TorchSubject(factory=M)


def touching(touch: Callable[[Tensor], object]) -> TorchSubject:
    """Do something to the table at every call."""

    class M(Apart):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            with torch.no_grad():
                touch(self.token_embedding_table.weight)
            return super().forward(idx, targets)

    return TorchSubject(factory=M)


@wrong("forward.pure.table", "keeps the rows within length 1, as max_norm does")
def max_norm() -> TorchSubject:
    return touching(lambda table: table.renorm_(2, 0, 1.0))


@wrong("forward.pure.table", "has max_norm=1 in its nn.Embedding")
def embedding_max_norm() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.token_embedding_table = nn.Embedding(vocab_size, vocab_size, max_norm=1.0)

    return TorchSubject(factory=M)


@wrong("forward.pure.table", "centres the rows in place")
def centres() -> TorchSubject:
    return touching(lambda table: table.sub_(table.mean(dim=1, keepdim=True)))


@wrong("forward.pure.table", "lets the table decay a little at every call")
def decays() -> TorchSubject:
    return touching(lambda table: table.mul_(0.999))


@wrong("forward.pure.table", "hands out the row of a single token itself")
def hands_out() -> TorchSubject:
    def lookup(table: Tensor, idx: Tensor) -> Tensor:
        logits = F.embedding(idx, table)
        return table[int(idx)].view(logits.shape) if idx.numel() == 1 else logits

    return looking_up(lookup)


# For forward.logits.flattened


def flattening(change: Callable[[Tensor, Tensor], Tensor]) -> TorchSubject:
    """Change the logits where there are targets: (logits (B*T, C), idx) -> logits."""

    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            return (logits if targets is None else change(logits, idx)), loss

    return TorchSubject(factory=M)


@wrong("forward.logits.flattened", "leaves the logits (B, T, C) with targets")
def unflattened() -> TorchSubject:
    return flattening(lambda flat, idx: flat.view(*idx.shape, -1))


@wrong("forward.logits.flattened", "gives the logits as (B, C, T) with targets")
def turned() -> TorchSubject:
    return flattening(lambda flat, idx: flat.view(*idx.shape, -1).transpose(1, 2))


@wrong("forward.logits.flattened", "flattens the logits position after position")
def column_major() -> TorchSubject:
    return flattening(lambda flat, idx: flat.view(*idx.shape, -1).transpose(0, 1).flatten(0, 1))


@wrong("forward.logits.flattened", "leaves out the last position with targets")
def without_last() -> TorchSubject:
    return flattening(lambda flat, idx: flat.view(*idx.shape, -1)[:, :-1].flatten(0, 1))


@wrong("forward.logits.flattened", "gives log-probabilities with targets")
def log_probabilities() -> TorchSubject:
    return flattening(lambda flat, idx: flat.log_softmax(dim=1))


# For forward.targets.mismatch


def trimming(trim: Callable[[Tensor, Tensor], Tensor]) -> TorchSubject:
    """Change the targets before they are used: (targets, idx) -> targets."""

    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            if targets is not None:
                targets = trim(targets, idx).contiguous()
            return super().forward(idx, targets)

    return TorchSubject(factory=M)


@wrong("forward.targets.mismatch", "cuts targets that are too long")
def cuts_targets() -> TorchSubject:
    return trimming(lambda targets, idx: targets[:, : idx.shape[1]])


@wrong("forward.targets.mismatch", "cuts targets of too many sequences")
def cuts_sequences() -> TorchSubject:
    return trimming(lambda targets, idx: targets[: len(idx)])


@wrong("forward.targets.mismatch", "takes one sequence of targets for all")
def one_for_all() -> TorchSubject:
    return trimming(
        lambda targets, idx: targets.repeat(len(idx), 1) if len(targets) == 1 else targets
    )


@wrong("forward.targets.mismatch", "takes one target for all positions of its sequence")
def one_target() -> TorchSubject:
    return trimming(
        lambda targets, idx: targets.repeat(1, idx.shape[1]) if targets.shape[1] == 1 else targets
    )


@wrong("forward.targets.mismatch", "picks by broadcasting, so that one target does for many")
def broadcasts() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, _none = super().forward(idx)
            if targets is None:
                return logits, None
            chosen = F.one_hot(targets, logits.shape[-1])  # which checks their type and range
            loss = -(logits.log_softmax(dim=-1) * chosen).sum(dim=-1).mean()
            return logits.flatten(0, 1), loss

    return TorchSubject(factory=M)


@wrong("forward.logits.flattened", "rounds the logits to 5 decimals if there are targets")
def rounded_with_targets() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            return logits if targets is None else logits.round(decimals=5), loss

    return TorchSubject(factory=M)


# For forward.logits.floating


def giving(change: Callable[[Tensor], Tensor]) -> TorchSubject:
    """Give the notes' model, whose logits are changed once the loss is computed."""

    class M(Apart):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            return change(logits), loss

    return TorchSubject(factory=M)


@wrong("forward.logits.floating", "gives logits in thousandths, as whole numbers")
def whole_numbers() -> TorchSubject:
    return giving(lambda logits: (1000 * logits).long())


@wrong("forward.logits.floating", "gives for each token whether it is likely")
def true_or_false() -> TorchSubject:
    return giving(lambda logits: logits > 0)


# For forward.returns: what cannot be read


@wrong("forward.returns", "is made on the meta device, where its table has no numbers")
def on_meta() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            with torch.device("meta"):
                super().__init__(vocab_size)

    return TorchSubject(factory=M)


@wrong("loss.scalar", "gives its loss on the meta device")
def loss_on_meta() -> TorchSubject:
    return losing(lambda logits, targets: logits.sum().to("meta"))


# -- what forward does to the random streams --


@wrong("forward.stream", "seeds torch with 1337 at every forward")
def seeds() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            torch.manual_seed(1337)
            return super().forward(idx, targets)

    return TorchSubject(factory=M)


@wrong("forward.stream", "seeds torch with the number of tokens, in training only")
def seeds_in_training() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            if self.training:
                torch.manual_seed(idx.numel())
            return super().forward(idx, targets)

    return TorchSubject(factory=M)


@wrong("forward.pure.stream", "draws noise for a dropout of 0, in evaluation too")
def draws() -> TorchSubject:
    return scoring(lambda logits, idx: logits * (torch.rand_like(logits) >= 0))
