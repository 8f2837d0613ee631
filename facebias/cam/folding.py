"""Convolutions that take the normalisation after them along, where that gives the same numbers."""

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import module as modules
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

_AGREE = 1e-3  # share of the largest logit; single precision differs by a thousandth of it


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
    weight: nn.Parameter
    bias: Tensor | None
    norms: list[_Norm] = field(default_factory=list)
    used: bool = False


@dataclass(frozen=True, eq=False)
class _Fold:
    """The convolution that does both, and what it was made of.

    Attributes:
        weight: of both.
        bias: of both.
        own_bias: of the convolution alone.
        norm: that is taken along.
        versions: how often each of the tensors that they were made of has been written to.
    """

    weight: Tensor
    bias: Tensor
    own_bias: Tensor | None
    norm: _Norm
    versions: tuple[tuple[Tensor, int], ...]

    def holds(self, own_bias: Tensor | None, norm: _Norm | None = None) -> bool:
        """Say whether these are the bias, and the normalisation if any, that it was made of."""
        same = own_bias is self.own_bias
        if norm is not None:
            same = same and all(
                getattr(self.norm, name) is each for name, each in _tensors_of(norm)
            )
            same = same and norm.eps == self.norm.eps
        return same and all(tensor._version == version for tensor, version in self.versions)


class _OtherWay(Exception):  # noqa: N818 - no error: the block is run again
    """With these images the network does something else than it did when it was watched."""


class FoldedNorms(TorchFunctionMode):
    """Computes a convolution and the batch normalisation of its output as one convolution.

    By fixed statistics the second is a scaling and a shift, which weights and bias of the first
    can hold (Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, section 3.2). The result is the same but for
    rounding; the model's own weights stay as they are. What is recorded for gradients is left.

    Folded is what one normalisation uses and nothing else does, with weights that are used once, as
    seen on an example whose logits must come out the same. A block in which the network does
    otherwise is run again without. Models with hooks, and compiled or scripted ones, are left
    alone: what they do with a tensor is not seen.

    Args:
        model: held as `facebias.cam.state.explaining` holds it.
        example: an image or more, as the model takes them.
    """

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        super().__init__()
        self._watching, self._seen = True, list[_Convolved]()
        self._at: dict[int, _Convolved] = {}
        self._folds: dict[int, _Fold] = {}
        self._waiting: dict[int, tuple[Tensor, _Fold]] = {}
        self._done: dict[int, Tensor] = {}
        if _is_open(model):
            self._find(model, example)
        self._watching = False

    def run(self, work: Callable[[], Result]) -> Result:
        """Do work that forwards images through the model, and return what it returns."""
        if not self._folds:
            return work()
        try:
            with self:
                result = work()
            if self._waiting:
                raise _OtherWay
        except _OtherWay:
            self._folds = {}
            return work()
        finally:
            self._waiting, self._done = {}, {}
        return result

    def _find(self, model: nn.Module, example: Tensor) -> None:
        """Watch the example, and keep the folds if they give its logits."""
        with torch.no_grad():
            with self:
                expected = model(example)
            self._watching, self._folds = False, _folds(self._seen)
            self._seen, self._at = [], {}
            found = self.run(lambda: model(example))
        room = _AGREE * expected.abs().max()
        if found.shape != expected.shape or not (found - expected).abs().max() <= room:
            self._folds = {}

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
        if function is functional.batch_norm and id(args[0]) in self._waiting:
            return self._taken_along(args, kwargs)
        if function not in _LOOKS:
            for tensor in _tensors([*args, *kwargs.values()]):
                if id(tensor) in self._waiting or id(tensor) in self._done:
                    raise _OtherWay
        if function is torch.conv2d and len(args) > 2 and not args[0].requires_grad:
            fold = self._folds.get(id(args[1]))
            if fold is not None:
                if not fold.holds(args[2]):
                    raise _OtherWay
                output: Tensor = function(args[0], fold.weight, fold.bias, *args[3:], **kwargs)
                self._waiting[id(output)] = output, fold
                return output
        return function(*args, **kwargs)

    def _taken_along(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """Return what is normalised already, as another object: the old one must not be used."""
        output, fold = self._waiting.pop(id(args[0]))
        norm = _fixed(*args[1:], **kwargs)
        if norm is None or not fold.holds(fold.own_bias, norm):
            raise _OtherWay
        self._done[id(output)] = output
        return output.detach()

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
        # Single or double precision: of less, the product with the scale would be rounded.
        exact = isinstance(result, Tensor) and result.dtype in (torch.float32, torch.float64)
        known = function is torch.conv2d and len(args) > 2 and isinstance(args[1], nn.Parameter)
        if known and exact and args[1].dtype == result.dtype:
            convolved = _Convolved(weakref.ref(result), args[1], args[2])
            self._seen.append(convolved)
            self._at[id(result)] = convolved
        return result


def _is_open(model: nn.Module) -> bool:
    """Say whether all that a model does with a tensor is seen."""
    if modules._global_forward_hooks or modules._global_forward_pre_hooks:
        return False
    return not any(
        isinstance(each, torch.jit.ScriptModule)
        or type(each).__name__ == "OptimizedModule"  # by name: importing its module takes a second
        or each._compiled_call_impl is not None
        or each._forward_hooks
        or each._forward_pre_hooks
        for each in model.modules()
    )


def _tensors(values: list[Any]) -> Iterator[Tensor]:
    """Return the tensors among arguments, also in lists of them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(list(value))


def _tensors_of(norm: _Norm) -> Iterator[tuple[str, Tensor | None]]:
    return ((name, getattr(norm, name)) for name in ("mean", "variance", "weight", "bias"))


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
        if len(each.norms) == 1
        and not each.used
        and times[id(each.weight)] == 1
        and not any(tensor.is_inference() for tensor in _made_of(each, each.norms[0]))
    }


def _made_of(convolved: _Convolved, norm: _Norm) -> list[Tensor]:
    tensors = [convolved.weight, convolved.bias, *(each for _, each in _tensors_of(norm))]
    return [each for each in tensors if each is not None]


def _fold(convolved: _Convolved, norm: _Norm) -> _Fold:
    scale = torch.rsqrt(norm.variance + norm.eps)
    scale = scale if norm.weight is None else scale * norm.weight
    shift = -norm.mean if convolved.bias is None else convolved.bias - norm.mean
    shift = shift * scale
    shift = shift if norm.bias is None else shift + norm.bias
    versions = tuple((each, each._version) for each in _made_of(convolved, norm))
    weight = convolved.weight * scale.view(-1, 1, 1, 1)
    return _Fold(weight, shift, convolved.bias, norm, versions)
