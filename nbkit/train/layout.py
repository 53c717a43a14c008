"""Names in a folder of checkpoints, for those who write there and those who copy it."""

MANIFEST = "manifest.json"
PREFIX, DAMAGED, WRITING = "step-", "damaged-", ".writing-"
