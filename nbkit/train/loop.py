"""The one loop: fit(task, config, store, record).

A step is a pure function of the weights, the optimiser's state and the step's number: batches come from (seed, step),
dropout from (seed, step, micro-batch, process). So a run that is cut anywhere and resumed from its last checkpoint
ends, on the CPU, in the same bits as the run that was not cut.
"""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import json
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from nbkit.base import colab, record, seeds
from nbkit.kernels import dispatch
from nbkit.train import inventory, pictures, tracker
from nbkit.train.device import accelerator, memory, tensors
from nbkit.train.signals import Signals
from nbkit.train.store import Checkpoint, CheckpointStore
from nbkit.train.task import Modules, Optimization, Task, Training
from nbkit.views.progress import Display

SECONDS_TO_END = 1800.0  # that the end of a training waits for the mirror; an interrupt ends the waiting
SECONDS_TO_LEAVE = 20.0  # the same after SIGTERM or an interrupted cell: who sends them does not wait long
MOST_SKIPPED = 25  # steps in a row without a finite gradient after which training is not going to recover


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to change."""


@dataclass
class FitResult:
    """How training ended. `reason` is "finished" or "time"; modules are unwrapped, fp32, and in eval mode."""

    step: int
    reason: str
    modules: Modules = field(repr=False)


def fit(task: Task, config: Training, store: CheckpointStore, run: record.Record) -> FitResult:
    """Train `task` to step config.stop_at, from the newest checkpoint in `store` where there is one.

    Saves before it leaves: at the end, when its time is over, at SIGTERM and when the cell is interrupted (the last two
    are then passed on as they came).
    raises TrainingError, train.store.CheckpointError, ModuleNotFoundError for a tracker that is not installed, and
           whatever the task raises
    """
    state = _Run(task, config, store, run)
    try:
        with Signals() as signals:
            state.start()
            reason = state.train(signals)
    except BaseException as error:
        told = _advice(error)
        stopped = isinstance(error, KeyboardInterrupt)
        with contextlib.suppress(OSError):  # a full disk must not hide what went wrong
            message = "stopped at once" if stopped else f"{type(error).__name__}: {told or error}"
            run.status("interrupted" if stopped else "failed", step=state.step, message=message)
        state.display.end("interrupted" if stopped else "failed")
        state.leave_the_mirror(0.0 if stopped else SECONDS_TO_LEAVE)
        if told:
            raise TrainingError(told) from error
        raise
    finally:
        state.tracker.close()
        state.leave_the_display()
    signals.pass_on()
    return FitResult(state.step, reason, state.plain_modules())


class _Run:
    """Everything that lives as long as one call of fit."""

    def __init__(self, task: Task, config: Training, store: CheckpointStore, run: record.Record):
        self.task, self.config, self.store, self.run = task, config, store, run
        tracker.check(config.tracker)
        self.accelerator = accelerator(config.precision, config.tracker, run.folder / tracker.FOLDER)
        self.rank, self.world = self.accelerator.process_index, self.accelerator.num_processes
        self.display = Display(run.name, config.stop_at, stream=None if self.rank == 0 else io.StringIO())
        self.tracker = tracker.Tracker(config.tracker, self.accelerator, run, self.display.note)
        self.step, self.skipped, self.skipped_in_a_row = 0, 0, 0
        self.terms = sorted(task.weights(tensors(task.batches("train", 0, 1)[0], torch.device("cpu"))))
        self.validation_loss: float | None = None
        self.display.gauges = lambda: memory(self.accelerator.device)

    def start(self) -> None:
        """Networks and optimisers, from the newest checkpoint or prepared for step 0."""
        modules = self.task.modules()
        with self.accelerator.main_process_first():  # what it brings back from a mirror, the others find here
            checkpoint = self.store.newest(clean=self.rank == 0)
        self._tell_of_the_search()
        if checkpoint is None:
            self.task.prepare(modules, tensors(self.task.batches("train", 0, 1)[0], torch.device("cpu")))
        else:
            _load_weights(modules, checkpoint)
        self.optimizations = self.task.optimizations(modules)
        names = list(modules)
        prepared = self.accelerator.prepare(*modules.values(), *(o.optimizer for o in self.optimizations.values()))
        self.modules = dict(zip(names, prepared, strict=False))
        self.bare = {name: self.accelerator.unwrap_model(module) for name, module in self.modules.items()}
        self.optimizers = dict(zip(self.optimizations, prepared[len(names) :], strict=True))
        if checkpoint is not None:
            self._restore(checkpoint)
        self._agree_on_the_step()
        if self.store.brought_back is not None:
            self.run.recall(json.loads(self.store.brought_back.inline.get(record.ENVIRONMENT, "[]")))
        self.run.rewind(self.step if checkpoint else -1)
        if self.rank == 0:
            self.store.follow(self.step)
            for row in self.run.rows():
                self.display.recall(row)
        self.display.facts["saved"] = f"step {self.step:,}" if checkpoint else "nothing yet"
        where = f"goes on at step {self.step}" if checkpoint else f"starts at step 0{self._what_is_new()}"
        changed = (
            f"; code changed since it ran last: {', '.join(self.run.changed_code)}" if self.run.changed_code else ""
        )
        self.display.note(f"{self.run.name} {where} on {self.accelerator.device}, {self.precision}{changed}")
        self.tracker.start()
        if self.step >= self.config.stop_at:
            self.display.note(f"nothing to do before step {self.config.stop_at}; raise stop_at to train longer")

    def _what_is_new(self) -> str:
        """What a run that starts differs in from the one that has most in common with it, here or on the mirror."""
        told, mirror = self.run.differs_from, self.store.mirror
        if not told and mirror is not None and self.rank == 0:
            told = inventory.nearest_there(mirror.shelf, self.run)
        return f" and {told}" if told else ""

    def _tell_of_the_search(self) -> None:
        """What was found where, and what is wrong with it."""
        while self.store.notes:
            self.display.note(self.store.notes.pop(0))
        if self.rank == 0 and self.store.table:
            self.display.table(*inventory.as_table(self.store.table))

    def _agree_on_the_step(self) -> None:
        total = self._summed({"step": self.step})["step"]
        if total != self.step * self.world:
            raise TrainingError(
                f"process {self.rank} of {self.world} found the checkpoint of step {self.step}, others another; all "
                "must see the same run folder: put outputs/ on a disk that they share (NBKIT_OUTPUTS)"
            )

    def plain_modules(self) -> dict[str, nn.Module]:
        """The networks in eval mode, without what accelerate put around them for its precision."""
        unwrap = self.accelerator.unwrap_model
        return {name: unwrap(module, keep_fp32_wrapper=False).eval() for name, module in self.modules.items()}

    @property
    def precision(self) -> str:
        return {"no": "fp32"}.get(self.accelerator.mixed_precision, self.accelerator.mixed_precision)

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.step, self.skipped = checkpoint.step, checkpoint.state["skipped"]
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(checkpoint.state["optimizers"][name])
        scaler, kept = self.accelerator.scaler, checkpoint.state["scaler"]
        if scaler is not None and kept is not None:
            scaler.load_state_dict(kept)

    def train(self, signals: Signals) -> str:
        """Steps until the end, the time limit or a signal; saves in each case. Returns the reason."""
        config, began, started_at = self.config, time.monotonic(), self.step
        self.run.status("running", step=self.step, stop_at=config.stop_at, copied=False, message="")
        self._note_kernels()
        if self.step == 0:
            self._evaluate()  # what everything later is compared with
        batches, reason = self._training_batches(), "finished"
        while self.step < config.stop_at:
            late = config.minutes > 0 and time.monotonic() - began >= 60 * config.minutes and self.step > started_at
            row, asked = self._one_step(batches, {"signal": float(bool(signals.received)), "time": float(late)})
            self._log(row)
            self._look_at_the_mirror()
            last = self.step == config.stop_at
            if last or self.step % config.evaluate_every == 0:
                self._evaluate()
            if last or asked or self.step % config.save_every == 0:
                self._save()
            if asked and not (last and asked == "time"):
                reason = asked
                break
        state, message = {
            "finished": ("finished", "reached stop_at"),
            "time": ("paused", f"stopped after {config.minutes:g} minutes, run again to go on"),
            "signal": ("interrupted", f"{signals.name or 'a signal to another process'}; saved, run again to go on"),
        }[reason]
        self.run.status(state, step=self.step, message=message)
        self.display.end(state)
        self._note_kernels()
        self._wait_for_the_mirror(SECONDS_TO_LEAVE if reason == "signal" else SECONDS_TO_END, signals)
        return reason

    def _look_at_the_mirror(self) -> None:
        mirror = self.store.mirror
        if mirror is not None and self.rank == 0:
            while self.store.notes or mirror.notes:
                self.display.note(self.store.notes.pop(0) if self.store.notes else mirror.notes.popleft())
            self.display.aside = str(mirror.state)
            safe = mirror.state.confirmed
            self.display.facts["safe copy"] = "nothing yet" if safe is None else f"step {safe:,}"

    def _wait_for_the_mirror(self, seconds: float, signals: Signals) -> None:
        """Let the copies arrive; a signal that comes meanwhile, or the end of the time, leaves them where they are."""
        if self.store.mirror is None or self.rank != 0:
            return
        before = signals.received

        def enough(state: Any) -> bool:
            self._look_at_the_mirror()
            self.display.refresh()
            return signals.received != before

        state = self.store.mirror.close(seconds, enough)
        self._look_at_the_mirror()
        self.run.status(confirmed=state.confirmed, copied=not state.waiting)
        if state.waiting:
            self.display.note(f"{state}; they lie in {self.store.folder}, and are copied when the run goes on")

    def leave_the_mirror(self, seconds: float) -> None:
        """End its thread where training failed; what was saved before still has so many seconds to be copied."""
        if self.store.mirror is not None:
            self.store.mirror.close(seconds)

    def leave_the_display(self) -> None:
        """Let it show how the run ended, and keep that as a picture."""
        self.display.close()
        if self.rank == 0:
            try:
                if png := self.display.picture():
                    pictures.keep_course(self.run, png)
            except Exception as error:  # what was learnt is saved, and worth more than its picture
                self.display.note(f"no picture of the course: {type(error).__name__}: {error}")

    def _training_batches(self) -> Iterator[Any]:
        """This process's micro-batches from the step after this one to the end, in order."""
        n = self.config.accumulate
        parts = n * self.world
        source = [self.task.batches("train", micro * self.world + self.rank, parts) for micro in range(n)]
        items = [(step, micro) for step in range(self.step, self.config.stop_at) for micro in range(n)]
        loader = torch.utils.data.DataLoader(
            _Items(source),
            batch_size=None,
            sampler=items,
            num_workers=self.config.workers,
            pin_memory=self.accelerator.device.type == "cuda",
            generator=torch.Generator().manual_seed(0),  # else the loader draws from the stream of the dropout masks
            multiprocessing_context="forkserver" if self.config.workers else None,
            worker_init_fn=_ignore_interrupts,
        )
        return iter(loader)

    def _one_step(self, batches: Iterator[Any], asked: dict[str, float]) -> tuple[dict[str, Any], str]:
        """Do one step. Returns its line for the log, and why a process was asked to stop: "" where none was."""
        began, step = time.monotonic(), self.step + 1
        device, config = self.accelerator.device, self.config
        parts = [tensors(next(batches), device) for _ in range(config.accumulate)]
        weights = _added(self.task.weights(part) for part in parts)
        amount = _added(self.task.amount(part) for part in parts)
        totals = self._summed(weights | asked | amount)
        self.validation_loss = None  # it belongs to the step that was evaluated
        for module in self.modules.values():
            module.train()
        generators = [self.task.losses(self.modules, part, step) for part in parts]
        sums: dict[str, Tensor] = {}
        row: dict[str, Any] = {"step": step, "split": "train", "amount": {name: int(totals[name]) for name in amount}}
        for phase in itertools.count():
            name = None
            for micro, losses in enumerate(generators):
                torch.manual_seed(seeds.key(config.seed, "step", step, phase, micro, self.rank))
                with self._synchronised(micro == len(generators) - 1):
                    found = next(losses, None)
                    if found is None:
                        break
                    name, terms = found
                    loss = sum(terms[term] / totals[term] for term in terms)
                    self.accelerator.backward(loss * self.world)  # the processes' gradients are averaged, not added
                    for term, value in terms.items():
                        sums[term] = sums.get(term, 0.0) + value.detach().double()
            if name is None:
                break
            row |= self._optimise(name, step)
        terms = {term: value / totals[term] for term, value in self._summed(sums).items()}
        row |= {"loss": sum(terms.values()), **terms, "seconds": round(time.monotonic() - began, 4)}
        self.step = step
        return row, next((reason for reason in asked if totals[reason] > 0), "")

    def _synchronised(self, last: bool):
        """Gradients travel between processes only with the last micro-batch."""
        if last or self.world == 1:
            return contextlib.nullcontext()
        stack = contextlib.ExitStack()
        for module in self.modules.values():
            stack.enter_context(self.accelerator.no_sync(module))
        return stack

    def _optimise(self, name: str, step: int) -> dict[str, Any]:
        """One step of an optimiser; one without a finite gradient is skipped and counted."""
        optimizer, how = self.optimizers[name], self.optimizations[name]
        self.accelerator.unscale_gradients(optimizer)
        norm = float(_clip(how))
        for group in optimizer.param_groups:
            group["lr"] = how.rate(step)
        scaled = self.accelerator.scaler is not None  # a scaler skips by itself, and lowers its scale
        if math.isfinite(norm) or scaled:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if math.isfinite(norm):
            self.skipped_in_a_row = 0
        else:
            self.skipped += 1
            self.skipped_in_a_row += 1
            if self.skipped_in_a_row > MOST_SKIPPED:
                raise TrainingError(
                    f"{self.skipped_in_a_row} steps in a row had no finite gradient: it diverged at step {step}. "
                    f"Lower learning_rate (now {self.config.learning_rate:g}), lengthen warmup_steps (now "
                    f"{self.config.warmup_steps}), or use precision bf16 or fp32 (now {self.precision}); "
                    f"each of these opens a new run, which may start from this one's checkpoint by init_from"
                )
        rate = {"learning_rate": how.rate(step), "gradient_norm": norm, "skipped": self.skipped}
        return rate if len(self.optimizers) == 1 else {f"{name}_{k}": v for k, v in rate.items()}

    @torch.no_grad()
    def _evaluate(self) -> None:
        """Validate on all rows, then probe on the first process."""
        for module in self.bare.values():
            module.eval()
        source = self.task.batches("validation", self.rank, self.world)
        sums: dict[str, float] = {}
        for n in range(len(source)):
            batch = tensors(source[n], self.accelerator.device)
            torch.manual_seed(seeds.key(self.config.seed, "validation", n, self.rank))
            for _, terms in self.task.losses(self.bare, batch, self.step):
                sums = _added([sums, {k: float(v) for k, v in terms.items()}])
            sums = _added([sums, {f"weight {k}": v for k, v in self.task.weights(batch).items()}])
        # a process without validation rows has no sums, and still has to take part in adding them up
        sums = self._summed(sums, names=[*self.terms, *(f"weight {term}" for term in self.terms)])
        terms = {k: sums[k] / sums[f"weight {k}"] for k in self.terms if sums[f"weight {k}"]}
        row: dict[str, Any] = {"step": self.step, "split": "validation"}
        if terms:
            self.validation_loss = sum(terms.values())
            row |= {"loss": self.validation_loss, **terms}
        self._log(row | self._probe())

    def _probe(self) -> dict[str, float]:
        """Look and listen. What goes wrong there is told, and does not end a training that can go on without."""
        if self.rank != 0:
            return {}
        try:
            probe = self.task.probe(self.bare, self.step)
            self.display.show(self.step, *pictures.keep(self.run, self.step, probe.pictures))
            return probe.metrics
        except Exception as error:
            self.display.note(f"no pictures and sounds of step {self.step}: {type(error).__name__}: {error}")
            return {}

    def _save(self) -> None:
        if self.rank == 0:
            scaler = self.accelerator.scaler
            state = {
                "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
                "scaler": scaler.state_dict() if scaler is not None else None,
                "skipped": self.skipped,
            }
            weights = {f"{name}.{k}": v for name, m in self.bare.items() for k, v in m.state_dict().items()}
            about = self.task.contents()
            self.store.save(self.step, weights, state, about, self.validation_loss, self._look_at_the_mirror)
            mirror = self.store.mirror
            self.run.status(step=self.step, saved=self.step, confirmed=mirror.state.confirmed if mirror else None)
            self.display.facts["saved"] = f"step {self.step:,}"
        self.accelerator.wait_for_everyone()

    def _log(self, row: dict[str, Any]) -> None:
        self.run.log(row)
        self.tracker.log(row)
        if self.rank == 0:
            self.display.update(row)

    def _note_kernels(self) -> None:
        self.run.note_session(
            device=str(self.accelerator.device),
            precision=self.precision,
            processes=self.world,
            kernels=dict(dispatch.choices),
        )

    def _summed(self, values: dict[str, Any], names: list[str] | None = None) -> dict[str, float]:
        """Sums over the processes, as float64."""
        names = names or list(values)
        vector = torch.tensor([float(values.get(name, 0.0)) for name in names], dtype=torch.float64)
        if self.world > 1:
            vector = cast(Tensor, self.accelerator.reduce(vector.to(self.accelerator.device), "sum")).cpu()
        return dict(zip(names, vector.tolist(), strict=True))


def _ignore_interrupts(_: int) -> None:
    """An interrupted cell interrupts the loading processes too; they are still needed for the step that is saved."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Items(torch.utils.data.Dataset):
    """(step, micro-batch) -> batch."""

    def __init__(self, source: list[Any]):
        self.source = source

    def __getitem__(self, item: tuple[int, int]) -> Any:
        step, micro = item
        return self.source[micro][step]


def _added(parts) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return total


def _clip(how: Optimization) -> Tensor:
    """Clip as asked; returns the norm of all gradients before."""
    parameters = how.parameters()
    norm = torch.nn.utils.clip_grad_norm_(parameters, how.clip_norm)
    if math.isfinite(how.clip_value):
        torch.nn.utils.clip_grad_value_(parameters, how.clip_value)
    return norm


def _load_weights(modules: dict[str, nn.Module], checkpoint: Checkpoint) -> None:
    for name, module in modules.items():
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in checkpoint.weights.items() if k.startswith(prefix)}
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            raise TrainingError(
                f"the checkpoint {checkpoint.folder} does not fit the model of today's code ({error}); "
                "go back to the code that wrote it, or use repeat to open another folder"
            ) from error


def _advice(error: BaseException) -> str:
    """What to do about a lack of memory or of room on the disk; empty for anything else."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"a disk is full ({error}). Make room (`nbkit doctor` tells where, `nbkit runs prune` shows what can go) "
            "and run again: training goes on from the last checkpoint"
        )
    if not isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) and "allocate memory" not in str(error):
        return ""
    where = " On Colab, Runtime > Disconnect and delete runtime frees what others hold." if colab.on_vm() else ""
    return (
        f"out of memory ({(str(error) or 'MemoryError').splitlines()[0]}). Set accumulate to 2 or 4: the same run goes "
        "on with its batches in smaller parts. A lower batch_size opens a new run, which init_from can start from this "
        f"one.{where}"
    )
