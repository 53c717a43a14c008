"""The eSpeak NG library behind `nbkit.data.espeak`: loaded, given voices of our own, asked for samples and events.

Its state is global to a process and not safe between threads, so `say` takes turns. Nothing is loaded before the first
call.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class EspeakError(ValueError):
    """Speech that cannot be made or whose words cannot be found in the text: wanted, got, remedy."""


WORD, PHONEME = 1, 7  # kinds of events
LANGUAGES = {"ko": "lang/ko", "en": "lang/gmw/en-US"}
SPEAKERS = {  # Hz at rest and at most, and formants as a percentage of the language's own voice
    "": "",
    "+2": "pitch 150 205\n" + "".join(f"formant {n} 112\n" for n in range(6)),
    "+3": "pitch 62 86\n" + "".join(f"formant {n} 95\n" for n in range(6)),
    "+4": "pitch 205 280\n" + "".join(f"formant {n} 118\n" for n in range(6)),
}
VOICES = tuple(language + speaker for language in LANGUAGES for speaker in SPEAKERS)

# Flutter and roughness (8 is none) run on from call to call; without them the samples depend on the arguments alone.
# `;` is the palatal mark that Korean rules put before n and m and delete again, together with the word's WORD event;
# deleted at this earlier place it leaves the event.
_STEADY = "flutter 0\nroughness 8\nreplace 00 ; NULL\n"
_VOLUME_PERCENT = 70  # at 100 some peaks reach the gain control, which has a memory

_RATE, _VOLUME, _PITCH = 1, 2, 3  # parameters
_SYNCHRONOUS, _EVENTS_IN_IPA, _NO_EXIT, _UTF8 = 2, 0x3, 0x8000, 1


@dataclass(frozen=True)
class Event:
    kind: int
    position: int  # in the text, counted in characters from 1
    sample: int
    name: str  # of a phoneme; eSpeak cuts it after 8 bytes


def say(text: str, voice: str, speed: int, pitch: int) -> tuple[np.ndarray, list[Event], int]:
    """Samples int16 [S], the events of words and phonemes in order, and the rate in Hz."""
    process = _processes.setdefault(os.getpid(), _Process())
    with process.lock:
        if process.engine is None or not process.engine.folder.is_dir():
            process.engine = _Engine()
        return *process.engine.say(text, voice, speed, pitch), process.engine.rate


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _RawEvent(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_RawEvent))


class _Engine:
    """The library, with voices of our own in a folder of their own. One a process: its state is global."""

    def __init__(self) -> None:
        import espeakng_loader

        self.folder = Path(tempfile.mkdtemp(prefix="nbkit-espeak-"))
        atexit.register(_remove, self.folder, os.getpid())
        _write_voices(Path(espeakng_loader.get_data_path()), self.folder / "espeak-ng-data")
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        path = os.fsencode(self.folder)
        self.rate = self._library.espeak_Initialize(_SYNCHRONOUS, 1000, path, _EVENTS_IN_IPA | _NO_EXIT)
        if self.rate <= 0:
            raise EspeakError(f"eSpeak does not start with the voices in {self.folder}; install espeakng-loader again")
        self._receive = _CALLBACK(self._take)  # kept here, or it would be freed while the library holds it
        self._library.espeak_SetSynthCallback(self._receive)

    def say(self, text: str, voice: str, speed: int, pitch: int) -> tuple[np.ndarray, list[Event]]:
        """Samples int16 [S] and events in order."""
        self._pieces: list[np.ndarray] = []
        self._events: list[Event] = []
        data = text.encode()
        failed = (
            self._library.espeak_SetVoiceByName(voice.replace("+", "-").encode())  # eSpeak splits names at "+"
            or self._library.espeak_SetParameter(_RATE, speed, 0)
            or self._library.espeak_SetParameter(_PITCH, pitch, 0)
            or self._library.espeak_SetParameter(_VOLUME, _VOLUME_PERCENT, 0)
            or self._library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, _UTF8, None, None)
        )
        if failed or not self._pieces:
            raise EspeakError(
                f"eSpeak refused {text!r} with voice {voice} (code {failed}); install espeakng-loader again"
            )
        return np.concatenate(self._pieces), self._events

    def _take(self, samples, count: int, events) -> int:
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type:
            raw = events[i]
            name = raw.id.string.decode(errors="ignore") if raw.type == PHONEME else ""
            self._events.append(Event(raw.type, raw.text_position, raw.sample, name))
            i += 1
        return 0


class _Process:
    """What one process holds; a fork starts with its own, never with a lock or a library in mid-sentence."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.engine: _Engine | None = None


_processes: dict[int, _Process] = {}


def _write_voices(source: Path, target: Path) -> None:
    """eSpeak's data for our languages, copied, and beside it our voices: eSpeak's own and a few lines."""
    (target / "voices").mkdir(parents=True)
    for name in ("phondata", "phonindex", "phontab", "intonations", *(f"{language}_dict" for language in LANGUAGES)):
        shutil.copy(source / name, target / name)
    for language, file in LANGUAGES.items():
        own = (source / file).read_text(encoding="utf-8")
        for speaker, lines in SPEAKERS.items():
            name = f"{language}{speaker}".replace("+", "-")
            (target / "voices" / name).write_text(f"{own}\n{_STEADY}{lines}", encoding="utf-8")


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child may run this too
        shutil.rmtree(folder, ignore_errors=True)
