"""Layers over [B, F, C]: frames or tokens in rows, the channels of each side by side in memory.

Matrix products and the convolutions of oneDNN and cuDNN read this as it lies; [B, C, F] they copy into it first.
Parameters have the names and shapes of torch's own layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbkit.models.dropout import Dropout

__all__ = ["Convolution", "Dropout", "Keeping", "is_alone"]


def is_alone(x: Tensor) -> bool:
    """Is it one item [1, F, C] that is only spoken, in fp32 on the CPU? Then its frames stay in the cache."""
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return len(x) == 1 and plain and not torch.is_grad_enabled()


class Keeping(nn.Module):
    """A module that keeps what follows from its weights while it only speaks: in eval mode, without gradients.

    The version of a parameter tells most changes, but not those of a fused optimiser; so a pass with gradients and
    every call of train() or eval() forget.
    """

    def __init__(self, *arguments: Any, **fields: Any):
        super().__init__(*arguments, **fields)
        self._kept: dict[str, tuple[Any, Any]] = {}

    def train(self, mode: bool = True):
        self._kept.clear()
        return super().train(mode)

    def kept(self, compute: Callable[[], Any], *parameters: Tensor) -> Any:
        """compute(), which is a function of `parameters`, or what it gave while they were the same."""
        if torch.is_grad_enabled() or self.training or any(p.is_inference() for p in parameters):
            self._kept.clear()
            return compute()
        name, state = compute.__name__, [(p.data_ptr(), p._version, p.dtype) for p in parameters]
        if name not in self._kept or self._kept[name][0] != state:
            self._kept[name] = state, compute()
        return self._kept[name][1]


class Convolution(Keeping, nn.Conv1d):
    """torch's Conv1d with stride 1, "same" padding and odd kernels, from [B, F, C] to [B, F, C']."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1):
        super().__init__(inputs, outputs, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)

    def forward(self, input: Tensor) -> Tensor:
        frames, (kernel,), (dilation,) = input.shape[1], self.kernel_size, self.dilation
        if is_alone(input) and dilation == 1:
            # oneDNN would spend longer on laying out the weight than on so few frames
            bias, *weights = self.kept(self._matrices, *self.parameters())
            padded = F.pad(input[0], (0, 0, kernel // 2, kernel // 2)) if kernel > 1 else input[0]
            y = torch.addmm(bias, padded[:frames], weights[0])
            for k in range(1, kernel):
                y.addmm_(padded[k : k + frames], weights[k])
            return y[None]
        weight = self.kept(self._laid_out, *self.parameters())
        if kernel == 1:
            return F.linear(input, weight, self.bias)
        # as an image of one row, since conv1d would first copy it to [B, C, F]
        image = input.transpose(1, 2).unsqueeze(2)
        y = F.conv2d(image, weight, self.bias, padding=(0, kernel // 2 * dilation), dilation=(1, dilation))
        return y.squeeze(2).transpose(1, 2)

    def _matrices(self) -> list[Tensor]:
        """The bias, and the weight of each tap [C, C'] as a matrix product reads it quickest."""
        bias = torch.zeros(self.out_channels) if self.bias is None else self.bias
        return [bias, *self.weight.permute(2, 1, 0).contiguous()]

    def _laid_out(self) -> Tensor:
        """The weight, weight norm applied, as linear or conv2d wants it."""
        if self.kernel_size == (1,):
            return self.weight.squeeze(2)
        return self.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
