"""Where the numbers are, and how many bits they have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil
import torch

from nbkit.base.amounts import size


def accelerator(precision: str, tracker: str = "", tracker_folder: Path | None = None):
    """Hugging Face accelerate's Accelerator for a declared precision; "auto" is settled here.

    tracker, tracker_folder   what hears the numbers of training, see train.tracker, and where it writes
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()  # a notebook calls fit again, perhaps with another precision
    settled = _settle(precision)
    # without a GPU accelerate would take each process that torchrun starts for the only one
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    return Accelerator(
        mixed_precision={"fp32": "no"}.get(settled, settled),
        cpu=not (alone or torch.cuda.is_available()),
        log_with=tracker or None,
        project_dir=tracker_folder,
    )


def _settle(precision: str) -> str:
    if precision != "auto":
        return precision
    if not torch.cuda.is_available():
        return "fp32"
    return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16"


def tensors(batch: Any, device: torch.device) -> Any:
    """A batch (a NamedTuple of arrays) as tensors on a device."""
    return type(batch)(*(torch.as_tensor(value).to(device, non_blocking=True) for value in batch))


def memory(device: torch.device) -> dict[str, str]:
    """What this process holds just now, for reading: of the machine, and of its GPU where it has one."""
    held = {"memory": size(psutil.Process().memory_info().rss)}
    if device.type == "cuda":
        now, most = torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
        held["GPU memory"] = f"{size(now)}, at most {size(most)}"
    return held


def leave() -> None:
    """Part from the other processes when all have done their work; one that just exits may bring others down."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
