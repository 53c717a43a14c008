"""What the loop asks of a task, and the parameters that every training notebook has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from nbkit.base.params import Params, param

Modules = dict[str, Any]
"""Name to network: an nn.Module, or what accelerate has wrapped around one."""


@dataclass(frozen=True)
class Training(Params):
    """The parameters of the loop. A task's own come before them in its cell."""

    stop_at: int = param(
        300, "Train to this step, counted from 0 also after a resume.", unit="steps", low=1, identity=False
    )
    batch_size: int = param(8, "Examples a step, over all processes.", low=1)
    accumulate: int = param(
        1, "Parts that a step is computed in, for a GPU with little memory.", low=1, high=64, identity=False
    )
    learning_rate: float = param(3e-3, "Greatest learning rate, reached after the warm-up.", low=0.0)
    warmup_steps: int = param(100, "Steps in which the learning rate grows from 0.", unit="steps", low=1)
    precision: str = param(
        "auto", "Arithmetic. auto takes bf16 or fp16 where the GPU has it.", choices=("auto", "fp32", "bf16", "fp16")
    )
    seed: int = param(0, "Decides every random draw.", low=0)
    init_from: str = param("", "A run folder or an export to start from. Empty starts from random weights.")
    evaluate_every: int = param(
        100, "Validate, and keep what it can do by then, every so many steps.", low=1, identity=False
    )
    save_every: int = param(100, "Write a checkpoint every so many steps.", low=1, identity=False)
    keep: int = param(3, "Newest checkpoints kept, beside the best one.", low=1, identity=False)
    mirror_every: int = param(
        0,
        "On the mirror, also keep each checkpoint whose step is a multiple of this. 0 keeps none for that.",
        unit="steps",
        low=0,
        identity=False,
    )
    minutes: float = param(
        0.0, "Stop and save after this time, to be resumed. 0 means no limit.", unit="minutes", low=0.0, identity=False
    )
    workers: int = param(0, "Processes that load batches. Does not change the result.", low=0, high=16, identity=False)
    tracker: str = param(
        "",
        "Also show the curves there, from files in the run's folder. Empty: nowhere else.",
        choices=("", "tensorboard", "wandb", "mlflow"),
        identity=False,
    )
    disconnect_when_done: bool = param(
        False, "On a Colab page, give the machine back after the last cell.", identity=False
    )
    repeat: int = param(0, "A further run of the same parameters in a folder of its own.", low=0, identity=False)


@dataclass
class Optimization:
    """One optimiser, its learning rate as a function of the step, and how its gradients are clipped."""

    optimizer: torch.optim.Optimizer
    rate: Callable[[int], float]
    clip_value: float = math.inf
    clip_norm: float = math.inf

    def parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]


class Picture(NamedTuple):
    """Arrays that a view can draw, or a sound: `kind` names the view, `arrays` are its arguments."""

    name: str
    kind: str  # "alignment", "spectrogram" or "audio"
    caption: str
    arrays: dict[str, Any]


@dataclass
class Probe:
    """How a model does just now: numbers for the log, pictures and sounds for the eye and the ear."""

    metrics: dict[str, float] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)


class Batches(Protocol):
    """Item n of a run, from nothing but n."""

    def __getitem__(self, n: int) -> Any: ...


class Task(Protocol):
    """A model and a data set, brought together. Everything is a pure function of the task's parameters."""

    name: str

    def modules(self) -> Modules:
        """Fresh networks, drawn from the seed (or from `init_from`)."""
        ...

    def optimizations(self, modules: Modules) -> dict[str, Optimization]: ...

    def batches(self, split: str, part: int, parts: int) -> Any:
        """Training: item n is part `part` of `parts` of the n-th batch of the run. Validation: sized, all rows once."""
        ...

    def prepare(self, modules: Modules, batch: Any) -> None:
        """Data-dependent initialisation on the first whole batch, before the first step of a new run."""
        ...

    def weights(self, batch: Any) -> dict[str, float]:
        """What each loss term is to be divided by; the loop adds it up over micro-batches and processes."""
        ...

    def amount(self, batch: Any) -> dict[str, int]:
        """How much a batch holds, as {"tokens": 812}; the log has it for each step, the display shows it a second."""
        ...

    def losses(self, modules: Modules, batch: Any, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yield (optimiser name, {term: sum}); the loop steps that optimiser before it asks for the next."""
        ...

    def probe(self, modules: Modules, step: int) -> Probe: ...

    def contents(self) -> dict[str, Any]:
        """What a checkpoint says of itself, as JSON: the model's configuration, symbols, feature parameters."""
        ...


def warmup_inverse_square_root(peak: float, warmup_steps: int) -> Callable[[int], float]:
    """The schedule of the Transformer: linear growth to `peak`, then falling with the square root of the step.

    It needs no last step, so that training longer is the same run.
    """
    return lambda step: peak * min(step / warmup_steps, math.sqrt(warmup_steps / max(step, 1)))


def warmup_linear(peak: float, warmup_steps: int, schedule_steps: int) -> Callable[[int], float]:
    """The schedule of BERT: linear growth to `peak`, then a linear fall to 0 at `schedule_steps`.

    It needs its last step, which is therefore a parameter that tells one run from another. Steps beyond it learn
    nothing.
    raises  ValueError where there is no step left to fall in
    """
    if schedule_steps <= warmup_steps:
        raise ValueError(
            f"wanted more schedule_steps than warmup_steps ({warmup_steps}), got {schedule_steps}; lengthen the "
            "schedule, or shorten the warm-up"
        )
    return lambda step: (
        peak * min(step / warmup_steps, max(0.0, (schedule_steps - step) / (schedule_steps - warmup_steps)))
    )
