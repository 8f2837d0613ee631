"""Convolutions that take the normalisation after them along, where that gives the same numbers."""

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Result = TypeVar("Result")

_LOOKS = {
    Tensor.dim,
    Tensor.size,
    *(
        getattr(Tensor, name).__get__
        for name in ("device", "dtype", "is_cuda", "ndim", "requires_grad", "shape")
    ),
}
"""What reads no value of a tensor."""


@dataclass(frozen=True, eq=False)
class _Norm:
    """What a batch normalisation by fixed statistics does."""

    mean: Tensor
    variance: Tensor
    weight: Tensor | None
    bias: Tensor | None
    eps: float


@dataclass(eq=False)
class _Convolved:
    """What a convolution gave, and who used it.

    Attributes:
        output: itself; a tensor that comes after it may have its address.
        weight: of the convolution.
        bias: of the convolution.
        norms: that used it.
        used: by anything else.
    """

    output: Callable[[], Tensor | None]
    weight: Tensor
    bias: Tensor | None
    norms: list[_Norm] = field(default_factory=list)
    used: bool = False


@dataclass(frozen=True, eq=False)
class _Fold:
    """The convolution that does both, and the statistics by which its normalisation is known."""

    weight: Tensor
    bias: Tensor
    mean: Tensor


class FoldedNorms(TorchFunctionMode):
    """Computes a convolution and the batch normalisation of its output as one convolution.

    By fixed statistics the second is a scaling and a shift, which weights and bias of the first
    can hold (Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, section 3.2). The result is the same but for
    rounding; the model's own weights stay as they are.

    The first `run` only watches. Folded is what is used by one normalisation and by nothing else,
    with weights that are used once. A model with hooks is left alone: they may keep what is folded.

    Args:
        model: held as `facebias.cam.state.explaining` holds it.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._watching = not any(module._forward_hooks for module in model.modules())
        self._seen: list[_Convolved] = []
        self._at: dict[int, _Convolved] = {}
        self._folds: dict[int, _Fold] = {}
        self._waiting: dict[int, tuple[Tensor, _Fold]] = {}

    def run(self, work: Callable[[], Result]) -> Result:
        """Do work that forwards images through the model, and return what it returns."""
        with self:
            result = work()
        if self._watching:
            self._folds, self._watching = _folds(self._seen), False
        if self._waiting:  # with these images the network goes another way
            self._folds, self._waiting = {}, {}
            return work()
        return result

    def __torch_function__(
        self,
        function: Any,  # noqa: ANN401 - torch's signature
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Do as the function does."""
        kwargs = kwargs or {}
        if self._watching:
            return self._watched(function, args, kwargs)
        if function is torch.conv2d and len(args) > 2 and id(args[1]) in self._folds:
            fold = self._folds[id(args[1])]
            output: Tensor = function(args[0], fold.weight, fold.bias, *args[3:], **kwargs)
            self._waiting[id(output)] = output, fold
            return output
        if function is functional.batch_norm and id(args[0]) in self._waiting:
            done, fold = self._waiting[id(args[0])]
            if args[1] is fold.mean:
                del self._waiting[id(done)]
                return done
        return function(*args, **kwargs)

    def _watched(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """Do as the function does, and note whose output it uses."""
        if function not in _LOOKS:
            norm = _fixed(*args[1:], **kwargs) if function is functional.batch_norm else None
            for tensor in _tensors([*args, *kwargs.values()]):
                convolved = self._at.get(id(tensor))
                if convolved is not None and convolved.output() is tensor:
                    convolved.norms += [] if norm is None else [norm]
                    convolved.used |= norm is None
        result = function(*args, **kwargs)
        if function is torch.conv2d and len(args) > 2:
            convolved = _Convolved(weakref.ref(result), args[1], args[2])
            self._seen.append(convolved)
            self._at[id(result)] = convolved
        return result


def _tensors(values: list[Any]) -> Iterator[Tensor]:
    """Return the tensors among arguments, also in lists of them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(list(value))


def _fixed(
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> _Norm | None:
    """Read the arguments of a batch normalisation; None of one by the batch's own statistics."""
    if training or mean is None or variance is None:
        return None
    return _Norm(mean, variance, weight, bias, eps)


def _folds(seen: list[_Convolved]) -> dict[int, _Fold]:
    """Return what computes both, by the address of the convolution's weight."""
    times = Counter(id(each.weight) for each in seen)
    return {
        id(each.weight): _fold(each, each.norms[0])
        for each in seen
        if len(each.norms) == 1 and not each.used and _lasting(each, times)
    }


def _lasting(convolved: _Convolved, times: Counter[int]) -> bool:
    """Say whether weights are used once a forward, and are the same in the next one.

    Single or double precision: of less, the product with the scale would be rounded.
    """
    weight = convolved.weight
    exact = weight.dtype in (torch.float32, torch.float64)
    return exact and isinstance(weight, nn.Parameter) and times[id(weight)] == 1


@torch.no_grad()
def _fold(convolved: _Convolved, norm: _Norm) -> _Fold:
    scale = torch.rsqrt(norm.variance + norm.eps)
    scale = scale if norm.weight is None else scale * norm.weight
    shift = -norm.mean if convolved.bias is None else convolved.bias - norm.mean
    shift = shift * scale
    shift = shift if norm.bias is None else shift + norm.bias
    return _Fold(convolved.weight * scale.view(-1, 1, 1, 1), shift, norm.mean)
