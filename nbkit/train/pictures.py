"""What a probe saw and heard, kept in the run folder: arrays as .npz, drawn as .png, sounds as .wav."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nbkit.base.record import Record
from nbkit.data import audio
from nbkit.train.task import Picture
from nbkit.views import alignment, blanks, signal, style


class Newest(NamedTuple):
    """The first of the pictures, and the first of the sounds with its rate in Hz; None where there is none."""

    png: bytes | None = None
    sound: tuple[np.ndarray, int] | None = None
    caption: str = ""


def keep(run: Record, step: int, pictures: list[Picture]) -> Newest:
    """Write each picture and each sound under its name and step."""
    newest = Newest()
    for picture in pictures:
        part = "audio" if picture.kind == "audio" else "views"
        ending = "wav" if picture.kind == "audio" else "png"
        path = run.place(part, f"{picture.name}-{step:09d}.{ending}", picture.caption, name=picture.name, step=step)
        newest = newest._replace(caption=newest.caption or picture.caption)
        arrays: dict[str, Any] = {
            k: v for k, v in picture.arrays.items() if k != "wave" and isinstance(v, np.ndarray | float | int)
        }
        if any(isinstance(value, np.ndarray) for value in arrays.values()):  # a sound may have none
            symbols = np.array(picture.arrays.get("symbols", ()), str)
            np.savez_compressed(path.with_suffix(".npz"), **arrays, symbols=symbols)
        if picture.kind == "audio":
            sound = picture.arrays["wave"], picture.arrays["rate"]
            audio.save(path, *sound)
            newest = newest._replace(sound=newest.sound or sound)
            continue
        png = draw(picture, path)
        newest = newest._replace(png=newest.png or png)
    return newest


def keep_course(run: Record, png: bytes) -> None:
    """Write the picture of a whole training; the report leaves it out, since it draws the same curves larger."""
    run.place("views", "training.png", "the course of training", in_report=False).write_bytes(png)


def draw(picture: Picture, path: Path) -> bytes:
    """Draw a picture by the view that its kind names, into a PNG file."""
    views = {"alignment": alignment.plot, "spectrogram": signal.spectrogram, "blanks": blanks.plot}
    png = style.png(views[picture.kind](**picture.arrays))
    path.write_bytes(png)
    return png
