"""What a subject returns, made into values that a check can rely on.

A check reads dense tensors of ordinary numbers on the CPU, None, and plain Python values. A tensor
of any other kind, or an object of a stranger's class, crosses as an `Other`: how it looks, no more.
These functions may run the subject's own code, so they are called inside `guarded`.
"""

from itertools import islice

import torch
from torch import Tensor, nn

from reference.spec.expect import kind_of, shown
from reference.spec.subject import Other, Output, SubjectError

DTYPES = frozenset(
    {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool}
    | {torch.int8, torch.int16, torch.int32, torch.int64}
    | {torch.uint8, torch.uint16, torch.uint32, torch.uint64}
)
"""Types of numbers that torch can compare, add and convert."""
MOST = 10**6
"""Items of a list that are read, and the greatest size of a vocabulary."""

Plain = Tensor | Other | None


def plain(value: object) -> Plain:
    """Return a tensor of plain numbers on the CPU, in the same memory if possible, or an Other."""
    if value is None:
        return None
    if not isinstance(value, Tensor):
        return Other(kind_of(value), shown(value))
    if isinstance(value, (nn.UninitializedParameter, nn.UninitializedBuffer)):
        return Other("an uninitialized parameter", "an uninitialized parameter")
    # A class derived from Tensor may answer every operation in a way of its own.
    with torch._C.DisableTorchFunctionSubclass():  # noqa: SLF001  as torch's documentation has it
        tensor = value if type(value) is Tensor else value.as_subclass(Tensor)
        why = _not_plain(tensor)
        if why:
            return Other(f"a tensor {why}", f"a tensor {why}")
        if tensor.device.type != "cpu":
            tensor = tensor.cpu()
        return tensor.resolve_neg()


def _not_plain(tensor: Tensor) -> str:
    """Say why a tensor's numbers cannot be read as they are, if they cannot."""
    if type(tensor) is not Tensor:
        return f"of the class {type(tensor).__name__}"
    if tensor.is_meta:
        return "on the meta device, which holds no numbers"
    if tensor.is_nested:
        return "that is nested"
    if tensor.layout is not torch.strided:
        return f"of the layout {tensor.layout}"
    if tensor.dtype not in DTYPES:
        return f"of {tensor.dtype}"
    return ""


def plain_answer(answer: object) -> object:
    """Return what forward returned: a tuple of plain values, or one plain value."""
    if isinstance(answer, tuple) and tuple.__len__(answer) <= len(Output._fields) + 1:
        return tuple(plain(part) for part in tuple.__iter__(answer))
    return plain(answer)


def output_of(answer: object) -> Output:
    """Return the pair that forward should return, from its plain answer.

    Whatever else stands in the place of the loss is left to the clauses about the loss.

    Raises: SubjectError if it is no pair, or the first of it no tensor.
    """
    if isinstance(answer, tuple) and len(answer) == len(Output._fields):
        logits, loss = answer
        if isinstance(logits, Tensor):
            return Output(logits, loss if isinstance(loss, Tensor) else None)
    raise SubjectError("forward", f"gave {kind_of(answer)}, and not a pair (logits, loss)")


def tensor_of(operation: str, value: object, *, what: str = "a tensor") -> Tensor:
    """Return what an operation returned, if it is a tensor of plain numbers.

    Raises: SubjectError if it is not.
    """
    found = plain(value)
    if isinstance(found, Tensor):
        return found
    kind = "None" if found is None else found.kind
    raise SubjectError(operation, f"gave {kind}, and not {what}")


def square_of(operation: str, value: object, C: int) -> Tensor:
    """Return a (C, C) table of floating-point numbers.

    Raises: SubjectError if the value isn't one.
    """
    table = tensor_of(operation, value, what=f"a tensor of shape {(C, C)}")
    if tuple(table.shape) != (C, C):
        raise SubjectError(operation, f"gave {kind_of(table)}, and not {(C, C)}")
    return _fractions(operation, table)


def rows_of(logits: Tensor, C: int) -> Tensor:
    """Return the logits of idx of shape (C, 1), every token by itself, as a (C, C) table.

    Raises: SubjectError if there are more or fewer of them, or they are whole numbers.
    """
    if logits.numel() != C * C:
        said = f"gave {kind_of(logits)} for idx of shape {(C, 1)}; it must be {(C, 1, C)}"
        raise SubjectError("forward", said)
    return _fractions("forward", logits).detach().reshape(C, C).clone()


def _fractions(operation: str, table: Tensor) -> Tensor:
    """Return a table, whose type says how far its numbers may be off.

    Raises: SubjectError if it is of whole numbers.
    """
    if not table.is_floating_point():
        said = f"gave {table.dtype}; the numbers must be of a floating-point type"
        raise SubjectError(operation, said)
    return table


def pair_of(operation: str, answer: object) -> tuple[Tensor, Tensor]:
    """Return the two tensors of a batch.

    Raises: SubjectError if they are not two tensors.
    """
    if isinstance(answer, (tuple, list)) and len(answer) == 2:  # noqa: PLR2004  x and y
        x, y = map(plain, answer)
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            return x, y
    raise SubjectError(operation, f"gave {kind_of(answer)}, and not a pair of tensors")


def ids_of(operation: str, answer: object) -> list[int]:
    """Return the ids of a text, from a list, a tensor or anything else with numbers in it.

    Raises: SubjectError if there are too many; whatever reading them raises.
    """
    ids = [int(number) for number in islice(iter(answer), MOST + 1)]  # type: ignore[call-overload]  # theirs
    if len(ids) > MOST:
        raise SubjectError(operation, f"gave more than {MOST:,} ids")
    return ids


def size_of(operation: str, size: object) -> int:
    """Return the size of a vocabulary.

    Raises: SubjectError if it is no size; whatever reading it raises.
    """
    number: int = int(size)  # type: ignore[call-overload]  # theirs
    if not 0 <= number <= MOST:
        raise SubjectError(operation, f"is {shown(number)}; it must be from 0 to {MOST:,}")
    return number


def text_of(operation: str, text: object) -> str:
    """Return a text as an ordinary str.

    Raises: SubjectError if it is no text.
    """
    if not isinstance(text, str):
        raise SubjectError(operation, f"gave {kind_of(text)}, and not text")
    return "".join(str.__iter__(text))  # a class derived from str may compare as it likes


def all_tensors(values: object) -> dict[str, Tensor]:
    """Return those values of a mapping that are tensors of plain numbers, by name.

    A module may keep anything in its state. A parameter that has no shape yet counts as empty.
    """
    found: dict[str, Tensor] = {}
    for name, value in dict(values).items():  # type: ignore[call-overload]  # theirs
        tensor = plain(value)
        if isinstance(tensor, Tensor):
            found[str(name)] = tensor
        elif isinstance(value, Tensor):
            found[str(name)] = torch.empty(0)
    return found
