"""The two linear maps of a flow block and its mask: ActNorm, invertible 1x1 convolution, 0 behind the ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbkit.kernels import dispatch

if TYPE_CHECKING:
    from torch import Tensor


def normalise_and_mix(
    x: Tensor,
    mask: Tensor | None,
    log_scale: Tensor,
    bias: Tensor,
    weight: Tensor,
    *,
    reverse: bool = False,
    impl: str = "auto",
) -> tuple[Tensor, Tensor]:
    """z = weight (exp(log_scale) x + bias) in each group of channels, or its inverse; and log |det dz/dx|.

    Source: paper_notes/glow.md#actnorm and paper_notes/glow.md#mixing, in the groups of paper_notes/glow_tts.md#decoder
    x           [B, F, C] float32 or float64, frames in rows. Computed in that type under autocast too: what is spoken
                must go back through the map that was trained.
    mask        [B, F, 1] in the type of x, 1 where a frame counts and 0 where not, or None where all count. What lies
                where it is 0 has no influence.
    log_scale   [C], bias [C]
    weight      [n, n], n even and a divisor of C. Group g mixes channels (h, g, s) of [2, C / n, n / 2], half of them
                from either half of x.
    reverse     x = exp(-log_scale) (inverse(weight) z - bias), for speaking
    impl        "reference", "torch", "cupy" (on a GPU), "emulated" (its kernel on the CPU) or "auto". The kernel takes
                float32, n = 4, up to 1,024 channels, and has no gradient in reverse.
    returns     z [B, F, C], 0 where the mask is 0; log |det dz/dx| [B], of the direction that was asked for
    raises      ValueError for shapes, types or devices that do not fit. No number is looked at: NaN stays NaN.
    """
    import torch

    _check(x, mask, log_scale, bias, weight)
    wants_gradient = torch.is_grad_enabled() and any(one.requires_grad for one in (x, log_scale, bias, weight))
    way = dispatch.choose(
        "normalise_and_mix", impl, _IMPLEMENTATIONS, *_preferred(x, len(weight), reverse and wants_gradient)
    )
    if way in (_cupy, _emulated) and (lacking := _beyond(x, len(weight), reverse and wants_gradient)):
        raise ValueError(f"flow.cu does not take {lacking}; use impl='torch'")
    with torch.autocast(x.device.type, enabled=False):
        return way(x, mask, log_scale, bias, weight, reverse)


def _check(x: Tensor, mask: Tensor | None, log_scale: Tensor, bias: Tensor, weight: Tensor) -> None:
    if x.ndim != 3 or not x.is_floating_point():
        raise ValueError(f"x wants to be float [B, F, C], got {x.dtype} {tuple(x.shape)}; transpose or convert it")
    items, frames, channels = x.shape
    n = len(weight)
    if weight.shape != (n, n) or n == 0 or n % 2 or channels == 0 or channels % n:
        raise ValueError(
            f"weight wants to be [n, n], n even and a divisor of {channels} channels, got {tuple(weight.shape)}; "
            "choose another split"
        )
    wanted = {"log_scale": (log_scale, (channels,)), "bias": (bias, (channels,)), "weight": (weight, (n, n))}
    if mask is not None:
        wanted["mask"] = mask, (items, frames, 1)
    for name, (one, shape) in wanted.items():
        if one.shape != shape:
            raise ValueError(f"{name} wants shape {shape} beside x {tuple(x.shape)}, got {tuple(one.shape)}")
        if one.dtype != x.dtype or one.device != x.device:
            raise ValueError(
                f"{name} wants to be {x.dtype} on {x.device} as x is, got {one.dtype} on {one.device}; convert it"
            )


def _beyond(x: Tensor, n: int, reverse_gradient: bool) -> str | None:
    """What flow.cu does not take of this, or None."""
    from nbkit.kernels.flow import cuda

    if str(x.dtype) != "torch.float32":
        return str(x.dtype)
    if n != cuda.MEMBERS or x.shape[2] > cuda.MOST:
        return f"{x.shape[2]:,} channels in groups of {n}"
    return "gradients in reverse" if reverse_gradient else None


def _preferred(x: Tensor, n: int, reverse_gradient: bool) -> tuple[str, str]:
    """What "auto" takes, and why."""
    if x.device.type == "cpu":
        return "torch", "the fastest on a CPU"
    if x.device.type != "cuda":
        return "torch", f"x is on {x.device.type}"
    lacking = _beyond(x, n, reverse_gradient) or _lacking(x)
    return ("torch", f"no kernel: {lacking}") if lacking else ("cupy", "one kernel where x is")


def _lacking(x: Tensor) -> str | None:
    from nbkit.kernels.flow import cuda

    return cuda.lacking(x.device)


def _reference(x, mask, *others):
    from nbkit.kernels.flow import reference

    return reference.there(x, x.new_ones(*x.shape[:2], 1) if mask is None else mask, *others)


def _torch(*given):
    from nbkit.kernels.flow import torch

    return torch.there(*given)


def _cupy(x, *others):
    from nbkit.kernels.flow import cuda

    if not x.is_cuda:
        raise ValueError(f"impl='cupy' wants x on a GPU, got {x.device}; move it there or use impl='emulated'")
    return cuda.there(x, *others)


def _emulated(x, *others):
    from nbkit.kernels.flow import cuda

    if x.device.type != "cpu":
        raise ValueError(f"impl='emulated' wants x on the CPU, got {x.device}; use x.cpu()")
    return cuda.there(x, *others)


_IMPLEMENTATIONS = {"reference": _reference, "torch": _torch, "cupy": _cupy, "emulated": _emulated}
