"""Models of image libraries by name, made for the channels and the outputs of a task."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from torch import Tensor, nn

from lossbench.contract import UserError
from lossbench.models.adapted import Adapted
from lossbench.models.convolutional import refuse_other_than_images
from lossbench.registry.hints import choices
from lossbench.registry.imports import import_of


class Reshaped(Adapted):
    """A model of a library, whose numbers for an example are put into the shape of an output."""

    def forward(self, inputs: Tensor) -> Any:
        """(B, C, H, W) -> (B, *output_shape), or what the model gives of another type."""
        output = self.model(inputs)
        if not isinstance(output, Tensor):
            return output
        return output.reshape(len(output), *self.output_shape)


class Makers:
    """The models of a library as its attributes, each made from the shapes of input and output."""

    def __init__(self, make: Callable[[str, int, int, int], nn.Module]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Callable[..., nn.Module]:
        return partial(_reshaped, self._make, name)


def _reshaped(
    make: Callable[[str, int, int, int], nn.Module],
    name: str,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    /,
) -> nn.Module:
    """A model of a library, without its weights: (B, C, H, W) -> (B, *output_shape)."""
    refuse_other_than_images(name, input_shape)
    channels, size, _ = input_shape
    return Reshaped(make(name, channels, size, math.prod(output_shape)), output_shape)


def _of_timm(name: str, channels: int, size: int, outputs: int) -> nn.Module:
    library: Any = import_of("timm")
    _refuse_unknown("timm", name, library.list_models())
    given = {"pretrained": False, "in_chans": channels, "num_classes": outputs}
    try:
        model = library.create_model(name, img_size=size, **given)
    except TypeError:  # a model for images of any size
        model = library.create_model(name, **given)
    assert isinstance(model, nn.Module)
    return model


def _of_torchvision(name: str, channels: int, size: int, outputs: int) -> nn.Module:
    library: Any = import_of("torchvision.models")
    _refuse_unknown("torchvision", name, library.list_models(module=library))
    sized = "image_size" in inspect.signature(library.get_model_builder(name)).parameters
    given = {"image_size": size} if sized or name.startswith("vit_") else {}
    model: nn.Module = library.get_model(name, weights=None, num_classes=outputs, **given)
    _see_channels(model, channels)
    return model


torchvision, timm = Makers(_of_torchvision), Makers(_of_timm)


def _refuse_unknown(library: str, name: str, names: Iterable[str]) -> None:
    if name not in (known := list(names)):
        raise UserError(
            f"model={library}:{name}: {library} has no such model. {choices(name, known)}"
        )


def _see_channels(model: nn.Module, channels: int) -> None:
    """Put a convolution of so many channels in the place of the first, which sees colours."""
    name, first = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    if first.in_channels == channels:
        return
    same = ("out_channels", "kernel_size", "stride", "padding", "dilation")
    given: dict[str, Any] = {word: getattr(first, word) for word in same}
    model.set_submodule(name, nn.Conv2d(channels, **given, bias=first.bias is not None))
