"""What the notes say of the model: its shapes, its loss, its sample, and how it is trained."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from reference.model import BigramLanguageModel
from reference.oracle.counts import entropy_floor
from reference.shapes import Ids
from reference.training import TrainConfig
from reference.walkthrough.data import documented_batch, documented_model, raised
from reference.walkthrough.rows import Row, Section, Setting


def logits_rows(setting: Setting) -> Iterator[Row]:
    """Look at the logits that the notes print the shape of."""
    here = Section("globals > logits > logits.shape")
    logits, _loss = documented_model(setting)(*documented_batch(setting))
    yield here.match("logits.shape", torch.Size(setting.figures.logits_shape), logits.shape)


def class_rows(setting: Setting) -> Iterator[Row]:
    """Take forward apart: the table, both shapes of logits, and the reshaping between them."""
    here = Section("class > BigramLanguageModel > forward")
    figures = setting.figures
    xb, yb = documented_batch(setting)
    m = documented_model(setting)
    (B, T), C = xb.shape, figures.vocab_size
    yield here.match("token_embedding_table", f"Embedding({C}, {C})", m.token_embedding_table)
    logits, none = m(xb)
    yield here.match("logits without targets", f"(B, T, C) = (4, 8, {C})", shape("B, T, C", logits))
    yield here.match(
        "loss without targets",
        None,
        none,
        "The notes ask `targets == None`; `is None` asks it without calling the tensor's ==.",
    )
    flat, _loss = m(xb, yb)
    yield here.match("logits with targets", f"(B*T, C) = (4*8, {C})", shape("B*T, C", flat, xb))
    strided = yb.t().contiguous().t()  # the same (B, T), laid out by columns
    view = raised(lambda: strided.view(B * T))
    yield here.erratum(
        "targets.view(B * T)",
        "results in a 1D tensor",
        f"non-contiguous targets: {view}; reshape gives {tuple(strided.reshape(B * T).shape)}",
        "view never copies, so it refuses targets that are not laid out row by row.",
        recorded=view == "RuntimeError",
    )
    missing = yb.clone()
    missing[0, 0] = -100
    others = F.cross_entropy(flat[1:], yb.reshape(B * T)[1:])
    ignored = bool(torch.isclose(F.cross_entropy(flat, missing.reshape(B * T)), others))
    refused = raised(lambda: m(xb, missing))
    yield here.erratum(
        "F.cross_entropy, target -100",
        "each element is the true next token",
        f"{'ignored by cross_entropy' if ignored else 'not ignored'}; forward: {refused}",
        "-100 is the default of ignore_index: such a target would drop out of the mean.",
        recorded=ignored and refused == "TokenRangeError",
    )


def generate_rows(setting: Setting) -> Iterator[Row]:
    """Take one round of generate apart, line by line."""
    here = Section("generate > for _ in range(max_new_tokens)")
    m = documented_model(setting)
    idx, _targets = documented_batch(setting)
    C = setting.figures.vocab_size
    all_logits, _none = m(idx)  # (B, T, C)
    logits = all_logits[:, -1, :]  # (B, C)
    probs = F.softmax(logits, dim=1)  # (B, C)
    idx_next = torch.multinomial(probs, num_samples=1)  # (B, 1)
    yield here.match("logits[:, -1, :]", f"(B, C) = (4, {C})", shape("B, C", logits))
    yield here.match("probs", f"(B, C) = (4, {C})", shape("B, C", probs))
    yield here.match("idx_next", "(B, 1) = (4, 1)", shape("B, 1", idx_next))
    grown = torch.cat((idx, idx_next), dim=1)  # (B, T+1)
    yield here.match("idx, grown", "(B, T+1) = (4, 9)", shape("B, T+1", grown))
    over_time = F.softmax(all_logits, dim=1)  # (B, T, C), each (B, C) summing to 1 over T
    time_sums, token_sums = over_time.sum(dim=1), over_time.sum(dim=2)
    is_over_time = bool(torch.allclose(time_sums, torch.ones(()))) and not bool(
        torch.allclose(token_sums, torch.ones(()))
    )
    yield here.erratum(
        "dim=1",
        "convert to probabilities",
        f"on (B, T, C) it sums to 1 over {'time' if is_over_time else 'tokens'}",
        "Right only because the logits are (B, C) by then; dim=-1 is right for both.",
        recorded=is_over_time,
    )
    tracked: list[bool] = []
    hook = m.register_forward_hook(lambda _m, _in, out: tracked.append(out[0].requires_grad))
    m.generate(idx, max_new_tokens=1)
    hook.remove()
    yield here.erratum(
        "gradients",
        "self(idx)",
        f"the notes' probs.requires_grad is {probs.requires_grad}; in generate here it is "
        f"{any(tracked)}",
        "As written, every new token builds a graph that nothing uses.",
        recorded=probs.requires_grad and tracked == [False],
    )


def main_rows(setting: Setting) -> Iterator[Row]:
    """Call m on the notes' batch, and see what its loss hangs on."""
    here = Section("MAIN > m.forward(xb, yb)")
    figures = setting.figures
    xb, yb = documented_batch(setting)
    once = BigramLanguageModel(len(setting.corpus.vocabulary))  # not seeded again
    m = documented_model(setting)
    logits, loss = m(xb, yb)
    forward_logits, forward_loss = m.forward(xb, yb)
    same = torch.equal(logits, forward_logits) and torch.equal(loss, forward_loss)
    yield here.match("m(xb, yb)", "m.forward(xb, yb)", "m.forward(xb, yb)" if same else "another")
    yield here.match("loss", figures.loss, nats(loss))
    yield here.match("loss.grad_fn", figures.loss_grad_fn, type(loss.grad_fn).__name__)
    yield here.erratum(
        "loss, seeded once",
        figures.loss,
        nats(once(xb, yb)[1]),
        "The notes seed once, at their top. Their loss needs a second manual_seed just before m "
        "is made.",
        recorded=nats(once(xb, yb)[1]) == figures.loss_seeded_once,
    )
    torch.manual_seed(setting.seed)
    data, T = setting.corpus.train, figures.block_size
    ix = torch.randint(len(data) - T, (len(figures.batch),)).tolist()
    x, y = (torch.stack([data[i + s : i + s + T] for i in ix]).long() for s in (0, 1))
    lecture = nats(m(x, y)[1])
    yield here.erratum(
        "loss, all offsets",
        figures.loss,
        lecture,
        "With randint(len(data) - block_size), which can draw the last window too, as in the "
        "lecture: another bound, another batch.",
        recorded=lecture == figures.loss_lecture_bound,
    )


def sample_rows(setting: Setting) -> Iterator[Row]:
    """Let the untrained m speak."""
    here = Section("PRE-TRAIN > m.generate(idx, max_new_tokens=100)")
    m = documented_model(setting)
    idx = torch.zeros((1, 1), dtype=torch.long)
    sample = setting.corpus.vocabulary.decode(m.generate(idx, max_new_tokens=100)[0].tolist())
    yield here.match("100 characters", setting.figures.sample, sample, "Random garbage, as said.")


def optimizer_rows(setting: Setting) -> Iterator[Row]:
    """Hold the training defaults against the notes, and say how low the loss can go."""
    here = Section("MAIN > TRAINING > -- init --")
    figures, defaults = setting.figures, TrainConfig()
    optimizer = torch.optim.AdamW(documented_model(setting).parameters(), lr=defaults.learning_rate)
    yield here.match("lr", figures.learning_rate, optimizer.defaults["lr"])
    yield here.match("batch_size", figures.batch_size, defaults.batch_size)
    yield here.match("block_size", figures.block_size, defaults.block_size)
    yield here.match("steps", f"{figures.steps:,}", f"{defaults.steps:,}")
    decay = optimizer.defaults["weight_decay"]
    yield here.erratum(
        "torch.optim.AdamW",
        "lr=1e-3",
        f"lr=1e-3, weight_decay={decay}",
        "The default decay pulls every logit toward 0, so that the loop settles a little short of "
        "the counts' own probabilities.",
        recorded=decay == figures.weight_decay,
    )
    floor = entropy_floor(setting.corpus.pair_counts("train"))
    yield here.match(
        "entropy floor, nats",
        figures.entropy_floor,
        f"{floor:.4f}",
        "H(next | current) of train_data: no bigram model has a lower loss on it.",
    )


def nats(loss: Tensor) -> str:
    """Print a loss as torch does: to four decimals."""
    return f"{loss.item():.4f}"


def shape(letters: str, tensor: Tensor, flat: Ids | None = None) -> str:
    """Print a shape with its letters; a flattened one as the product that it is."""
    sizes = [str(size) for size in tensor.shape]
    if flat is not None and tensor.shape[0] == flat.numel():
        sizes[0] = "*".join(str(size) for size in flat.shape)
    return f"({letters}) = ({', '.join(sizes)})"
