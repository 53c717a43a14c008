# A pipeline as Snakemake sees it: a rule a stage. Started by `nbkit pipeline run FILE`; --config file=FILE names it.
import sys

from nbkit.run import stages

PIPELINE = stages.read(config["file"])


def told(paths):
    """Names of files, in which Snakemake would take braces for wildcards."""
    return [str(path).replace("{", "{{").replace("}", "}}") for path in paths]


rule all:
    input: told(PIPELINE.mark(name) for name in PIPELINE.stages)


for stage in PIPELINE.stages.values():
    rule:
        name: stage.name
        input: told([*map(PIPELINE.mark, stage.before), *stage.files()])
        output: told([PIPELINE.mark(stage.name)])
        params:
            parameters=stage.asked(),
            code=stage.code_digest(),
            command=f"'{sys.executable}' -m nbkit.run pipeline stage '{PIPELINE.file}' {stage.name}",
        shell: "{params.command}"
