"""`nbkit fit glow_tts` with a model small enough for a test, which kills itself in the step named by KILL_AT."""

import os
import signal
import sys

from nbkit.models.glow_tts import config
from nbkit.run.__main__ import main
from nbkit.tasks.glow_tts import GlowTTSTask

DROPOUT = float(os.environ.get("DROPOUT", "0.1"))
KILL_AT = int(os.environ.get("KILL_AT", "0"))

config.SIZES["tiny"] = dict(hidden=16, filter=16, duration_filter=8, encoder_layers=1, blocks=2, decoder_hidden=8)
config.SIZES["tiny"] |= dict(prenet_dropout=DROPOUT, encoder_dropout=DROPOUT, decoder_dropout=DROPOUT)
_losses = GlowTTSTask.losses


def losses(self, modules, batch, step):
    if step == KILL_AT > 0:
        os.kill(os.getpid(), signal.SIGKILL)
    yield from _losses(self, modules, batch, step)


GlowTTSTask.losses = losses
if __name__ == "__main__":
    sys.exit(main(["fit", "glow_tts", *sys.argv[1:]]))
