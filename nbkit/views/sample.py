"""The newest sound and picture of a run, small enough to stay in a notebook: the record keeps them as they are."""

from __future__ import annotations

import base64
import io

import numpy as np

SECONDS = 8.0  # of a sound that are kept
_BITS = 0.8  # see mp3
_PICTURE_BYTES = 60_000
_WAV_BYTES = 60_000  # where there is no MP3: less of the sound instead of a large notebook
_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz that an MP3 can have


def sound(wave: np.ndarray, rate: int) -> str:
    """A data address that an <audio> plays: MP3, its beginning where it is long, as loud as it is.

    wave   float [S] in [-1, 1]
    rate   Hz; a sound of a rate that MP3 does not know becomes a WAV, and less of it is kept
    raises ValueError for anything else
    """
    wave = np.asarray(wave)
    if wave.ndim != 1 or not wave.size or not np.issubdtype(wave.dtype, np.floating) or not np.isfinite(wave).all():
        raise ValueError(
            f"a sample wants a finite float wave [S], got {wave.dtype} {list(wave.shape)}; pick one mono channel"
        )
    if rate <= 0:
        raise ValueError(f"a sample wants a rate above 0 Hz, got {rate}; give that of the wave")
    most = int(rate * SECONDS)
    content, kind = mp3(_beginning(wave, most, rate), rate, _BITS), "mpeg"
    if content is None:
        content, kind = _wav(_beginning(wave, min(most, _WAV_BYTES // 2), rate), rate), "wav"
    return f"data:audio/{kind};base64,{base64.b64encode(content).decode()}"


def mp3(wave: np.ndarray, rate: int, pressed: float) -> bytes | None:
    """A wave [S], float or int16, as an MP3 of constant bitrate; None where libsndfile has none or MP3 no such rate.

    pressed   how far, 0 to 1; at 22,050 Hz 0.6 is 64 kbit a second, 0.8 is 40
    """
    import soundfile

    if rate not in _RATES or "MP3" not in soundfile.available_formats():
        return None
    buffer = io.BytesIO()
    options = {"compression_level": pressed, "bitrate_mode": "CONSTANT"}
    soundfile.write(buffer, wave, rate, format="MP3", subtype="MPEG_LAYER_III", **options)
    return buffer.getvalue()


def _wav(wave: np.ndarray, rate: int) -> bytes:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _beginning(wave: np.ndarray, most: int, rate: int) -> np.ndarray:
    kept = np.clip(wave[:most].astype(np.float32), -1, 1)
    if len(kept) < len(wave):  # a cut would click
        fade = min(len(kept), rate // 50)
        kept[len(kept) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return kept


def picture(png: bytes) -> str:
    """A data address of a PNG: as it is where it is small, else in 64 colours, else in fewer points as well.

    raises ValueError where it is no picture
    """
    if not png.startswith(b"\x89PNG"):
        raise ValueError(f"a sample wants a PNG, got {len(png)} bytes that begin {png[:4]!r}; draw it as one")
    if len(png) > _PICTURE_BYTES:
        png = _pressed(png)
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _pressed(png: bytes) -> bytes:
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(png)).convert("RGB")
    except OSError as error:
        raise ValueError(f"a sample wants a whole PNG, got {len(png)} bytes of one ({error}); draw it again") from error
    while True:
        buffer = io.BytesIO()
        image.quantize(64, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= _PICTURE_BYTES:
            return buffer.getvalue()
        image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)), Image.Resampling.LANCZOS)
