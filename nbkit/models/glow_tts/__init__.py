"""Glow-TTS. Source: paper_notes/glow_tts.md"""

from nbkit.models.glow_tts.config import SIZES, GlowTTSConfig, sized
from nbkit.models.glow_tts.model import GlowTTS, GlowTTSOutput, Synthesis, frame_scores

__all__ = ["SIZES", "GlowTTS", "GlowTTSConfig", "GlowTTSOutput", "Synthesis", "frame_scores", "sized"]
