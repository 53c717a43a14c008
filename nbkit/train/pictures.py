"""What a probe saw and heard, kept in the run folder: arrays as .npz, drawn as .png, sounds as .wav."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nbkit.base.record import Record
from nbkit.data import audio
from nbkit.train.task import Picture
from nbkit.views import alignment, blanks, signal, style


def keep(run: Record, step: int, pictures: list[Picture]) -> bytes | None:
    """Write each picture under its name and step; returns the PNG of the first one that can be seen."""
    seen = None
    for picture in pictures:
        part = "audio" if picture.kind == "audio" else "views"
        ending = "wav" if picture.kind == "audio" else "png"
        path = run.place(part, f"{picture.name}-{step:09d}.{ending}", picture.caption, name=picture.name, step=step)
        if picture.kind == "audio":
            audio.save(path, picture.arrays["wave"], picture.arrays["rate"])
            continue
        arrays: dict[str, Any] = {k: v for k, v in picture.arrays.items() if isinstance(v, np.ndarray | float | int)}
        np.savez_compressed(
            path.with_suffix(".npz"), **arrays, symbols=np.array(picture.arrays.get("symbols", ()), str)
        )
        png = draw(picture, path)
        seen = seen or png
    return seen


def draw(picture: Picture, path: Path) -> bytes:
    """Draw a picture by the view that its kind names, into a PNG file."""
    views = {"alignment": alignment.plot, "spectrogram": signal.spectrogram, "blanks": blanks.plot}
    png = style.png(views[picture.kind](**picture.arrays))
    path.write_bytes(png)
    return png
