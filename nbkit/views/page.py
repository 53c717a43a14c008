"""Self-contained pages: one HTML file or one notebook output, no network, text from data escaped."""

from __future__ import annotations

import base64
import html
import os
import re
import zlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jinja2 import Environment

# what a page unpacks into a typed array, see templates/page.js
_PACKED = {"|u1": "Uint8Array", "<i2": "Int16Array", "<u2": "Uint16Array", "<i4": "Int32Array", "<f4": "Float32Array"}

_UNITS = {"ms": "ms", "db": "dB", "hz": "Hz", "seconds": "seconds"}


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = Path(__file__).parent / "templates"
    loader = FileSystemLoader(folder)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # Our own css and js go in as they are; everything else is escaped by jinja.
    environment.globals["ours"] = lambda name: Markup((folder / name).read_text(encoding="utf8"))
    environment.filters["code"] = lambda text: Markup(re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text)))
    return environment


def render(template: str, **values: object) -> str:
    """A template of templates/, filled. Strings are escaped; `| tojson` puts data into a script safely."""
    return plain(_templates().get_template(template).render(**values))


def plain(text: str) -> str:
    """Text that UTF-8 can hold: half a surrogate pair, as of a file name that is none, becomes �."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def output(template: str, **values: object) -> str:
    """A notebook output: render(), and the Korean glyphs that it shows brought along; as it is where it shows none."""
    from nbkit.views import style

    filled = render(template, **values)
    face = style.font_face(filled)
    # Behind system-ui instead of sans-serif Chromium may draw boxes, above all once another text found no font.
    stack = f"font-family:sans-serif,'{style.FAMILIES[1]}'"
    return f'<style>{face}</style><div style="{stack}">{filled}</div>' if face else filled


def pack(array: np.ndarray) -> dict[str, object]:
    """An array for a page, compressed: page.js gives it back as {shape, values} with `await unpack(it)`.

    array  uint8, int16, uint16, int32 or float32
    """
    array = np.ascontiguousarray(array)
    kind = _PACKED.get(array.dtype.newbyteorder("<").str)
    if kind is None:
        raise ValueError(f"a page takes {', '.join(_PACKED)}, got {array.dtype}; quantise or convert it first")
    content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return {"type": kind, "shape": list(array.shape), "data": base64.b64encode(zlib.compress(content, 9)).decode()}


def readable(name: str) -> str:
    """A quantity's name for reading: readable("boundary_error_ms") is 'boundary error, ms'."""
    words, _, unit = name.rpartition("_")
    if words and unit in _UNITS:
        return f"{words.replace('_', ' ')}, {_UNITS[unit]}"
    return name.replace("_", " ")


@dataclass(frozen=True)
class Page:
    """A page that a notebook shows in a frame of its own, with a picture for viewers that show no frames.

    document  a whole HTML page without outside references
    poster    PNG of what the page shows at rest; GitHub and untrusted notebooks show it instead
    height    CSS pixels of the frame
    """

    document: str = field(repr=False)
    poster: bytes = field(repr=False)
    height: int
    title: str

    def _repr_html_(self) -> str:
        # The frame lies over the picture, so a viewer that strips frames leaves the picture. The outer div keeps
        # IPython from advising IFrame. Scripts may run, but in an origin of their own.
        picture, title = base64.b64encode(self.poster).decode(), html.escape(plain(self.title))
        return (
            f'<div style="position:relative;height:{self.height}px;overflow:hidden">'
            f'<img alt="{title}" style="max-width:100%;max-height:100%" '
            f'src="data:image/png;base64,{picture}">'
            f'<iframe title="{title}" sandbox="allow-scripts" '
            'style="position:absolute;inset:0;width:100%;height:100%;border:0" '
            f'srcdoc="{html.escape(self.document)}"></iframe></div>'
        )

    def _repr_png_(self) -> bytes:
        return self.poster

    def save(self, path: str | os.PathLike) -> Path:
        """Write the page as a file that any browser opens, and its picture beside it as a PNG of the same name."""
        path = write(path, self.document)
        path.with_suffix(".png").write_bytes(self.poster)
        return path


def write(path: str | os.PathLike, document: str) -> Path:
    """Write a page so that a reader sees the old one or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(document, encoding="utf8")
    os.replace(temporary, path)
    return path
