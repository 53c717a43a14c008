"""Glow-TTS. Source: paper_notes/glow_tts.md"""

from nbkit.models.glow_tts.config import SIZES, GlowTTSConfig, sized
from nbkit.models.glow_tts.model import GlowTTS, GlowTTSOutput, Synthesis, frame_scores
from nbkit.models.glow_tts.voice import Looks, Spoken, SpokenMel, Voice, describe, from_parts, load

__all__ = [
    "SIZES",
    "GlowTTS",
    "GlowTTSConfig",
    "GlowTTSOutput",
    "Looks",
    "Spoken",
    "SpokenMel",
    "Synthesis",
    "Voice",
    "describe",
    "frame_scores",
    "from_parts",
    "load",
    "sized",
]
