"""`nbkit fit` with models small enough for a test, which kills itself in the step named by KILL_AT."""

import os
import signal
import sys

from nbkit.models import kobert
from nbkit.models.glow_tts import config
from nbkit.run.__main__ import main
from nbkit.tasks.glow_tts import GlowTTSTask
from nbkit.tasks.kobert_pretrain import KoBERTPretrainTask

DROPOUT = float(os.environ.get("DROPOUT", "0.1"))
KILL_AT = int(os.environ.get("KILL_AT", "0"))

config.SIZES["tiny"] = dict(hidden=16, filter=16, duration_filter=8, encoder_layers=1, blocks=2, decoder_hidden=8)
config.SIZES["tiny"] |= dict(prenet_dropout=DROPOUT, encoder_dropout=DROPOUT, decoder_dropout=DROPOUT)
kobert.SIZES["tiny"] = dict(hidden=16, layers=2, heads=2, filter=32)


def dies(losses):
    def dying(self, modules, batch, step):
        if step == KILL_AT > 0 and os.environ.get("LOCAL_RANK", "0") == "0":
            os.kill(os.getpid(), signal.SIGKILL)
        yield from losses(self, modules, batch, step)

    return dying


for task in (GlowTTSTask, KoBERTPretrainTask):
    task.losses = dies(task.losses)
if __name__ == "__main__":
    sys.exit(main(["fit", *sys.argv[1:]]))
