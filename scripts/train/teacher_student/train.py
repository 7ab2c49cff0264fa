"""The course of training: batches, loss, checks on held-out parts, checkpoints, the log and its picture."""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import time

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from backbone import Folded

from .data import Line, as_floats, foreign, good_images, split
from .model import Residual, Standard, Student, Teacher

HELD_OUT = 0.2
CHECK_STEPS = 25  # between looks at the held-out parts
FLAWED = 2  # of a batch
FOREIGN = 64  # procedural pictures made once
WARM_UP = 0.1
# A check that is this much worse than the best is taken for divergence, not for noise.
DIVERGED = 20.0


class Training:
    """One run. `run` trains, `result` gives the best student and the statistics of what it leaves."""

    def __init__(self, folded: Folded, args: argparse.Namespace):
        self.args = args
        use_cuda = args.device == "cuda" or args.device == "auto" and torch.cuda.is_available()
        self.device = torch.device("cuda" if use_cuda else "cpu")
        torch.manual_seed(args.seed)
        pictures, files = good_images(args.category, args.size_px)
        kept, held_out = split(len(files), HELD_OUT)
        self.trained_on = [files[i] for i in kept]
        self.held_out_pictures = pictures[held_out]
        (args.run / "held-out.txt").write_text("".join(f"{files[i]}\n" for i in held_out))
        self.line = Line(pictures[kept], args.seed)
        # The same disturbance at every check, so that checks can be compared.
        clean = as_floats(torch.from_numpy(self.held_out_pictures))
        self.held_out = torch.cat([clean, Line(self.held_out_pictures, args.seed + 1).disturb(clean)])
        self.foreign = foreign(FOREIGN, args.size_px, args.seed) if args.penalty > 0 else None
        self.teacher = Teacher(folded).to(self.device)
        sample = [self._taps(self.line.draw(args.batch))[1] for _ in range(max(2, 64 // args.batch))]
        self.standard = Standard.measure(sample)
        self.student = Student(args.student, len(folded.stem.weight), self.teacher.channels).to(self.device)
        matrices = [p for p in self.student.parameters() if p.ndim > 1]
        vectors = [p for p in self.student.parameters() if p.ndim <= 1]
        groups = [dict(params=matrices, weight_decay=1e-2), dict(params=vectors, weight_decay=0.0)]
        self.optimiser = torch.optim.AdamW(groups, lr=args.rate)
        self.step, self.elapsed_s, self.best_at, self.best_loss = 0, 0.0, 0, math.inf
        self.best = copy.deepcopy(self.student.state_dict())
        if args.resume:
            self._restore()

    def _taps(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.teacher(x.to(self.device))

    def _restore(self) -> None:
        saved = torch.load(self.args.run / "last.pt", map_location=self.device, weights_only=True)
        self.student.load_state_dict(saved["student"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.best, self.best_at, self.best_loss = saved["best"], saved["best_at"], saved["best_loss"]
        self.step, self.elapsed_s = saved["step"], saved["elapsed_s"]
        self.standard = Standard(saved["mean"], saved["spread"])
        # New draws, not the ones that were already seen.
        self.line.rng = np.random.default_rng([self.args.seed, self.step])

    def _save(self) -> None:
        state = dict(student=self.student.state_dict(), optimiser=self.optimiser.state_dict(), best=self.best)
        state |= dict(best_at=self.best_at, best_loss=self.best_loss, step=self.step, elapsed_s=self.elapsed_s)
        state |= dict(mean=self.standard.mean, spread=self.standard.spread)
        temporary = self.args.run / "last.pt.tmp"
        torch.save(state, temporary)
        temporary.replace(self.args.run / "last.pt")

    def run(self) -> None:
        """Until the steps are done, the held-out parts gain no more, or the loss diverges."""
        args, started = self.args, time.monotonic() - self.elapsed_s
        log = open(args.run / "log.jsonl", "a" if args.resume else "w")
        recent: list[float] = []
        while self.step < args.steps:
            loss = self._one_step()
            self.step += 1
            self.elapsed_s = time.monotonic() - started
            recent.append(loss)
            if math.isfinite(loss) and self.step % CHECK_STEPS and self.step < args.steps:
                continue
            held_out = self.check() if math.isfinite(loss) else math.nan
            if not math.isfinite(held_out) or held_out > DIVERGED * self.best_loss:
                print(f"step {self.step}: the loss diverged; stopped, step {self.best_at} is kept", file=sys.stderr)
                break
            if held_out < self.best_loss:
                self.best, self.best_at, self.best_loss = copy.deepcopy(self.student.state_dict()), self.step, held_out
            self._report(log, float(np.mean(recent)), held_out)
            recent.clear()
            self._save()
            if self.step - self.best_at >= args.patience * CHECK_STEPS:
                print(f"step {self.step}: no gain since step {self.best_at}; stopped")
                break
        log.close()
        plot(args.run)

    def _report(self, log, loss: float, held_out: float) -> None:
        left_s = self.elapsed_s / self.step * (self.args.steps - self.step)
        print(f"step {self.step}/{self.args.steps} loss {loss:.4f} held out {held_out:.4f}, {left_s:.0f} s left", flush=True)
        log.write(json.dumps(dict(step=self.step, seconds=round(self.elapsed_s, 1), loss=loss, held_out=held_out)) + "\n")
        log.flush()

    def _one_step(self) -> float:
        args, progress = self.args, self.step / self.args.steps
        rise = min(1.0, (progress + 1e-3) / WARM_UP)
        for group in self.optimiser.param_groups:
            group["lr"] = args.rate * rise * (0.5 * (1 + math.cos(math.pi * progress)) + 1e-2)
        self.student.train()
        stem, taps = self._taps(self.line.draw(args.batch))
        loss = imitation(self.standard.apply(taps), self.student(stem), args.hard)
        if args.penalty > 0:
            loss = loss + args.penalty * self._penalty()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimiser.step()
        return float(loss.detach())

    def _penalty(self) -> Tensor:
        """What keeps the student from imitating the teacher where it should not: of a flawed part it has to say what the teacher says
        of the part without the flaw, and of foreign pictures nothing (the mean)."""
        # Running statistics are those of good parts.
        self.student.eval()
        flawed, clean = self.line.flawed(FLAWED)
        wanted = self.standard.apply(self._taps(clean)[1])
        got = self.student(self._taps(flawed)[0])
        loss = sum((w - g).square().mean() for w, g in zip(wanted, got))
        index = torch.from_numpy(self.line.rng.integers(0, FOREIGN, FLAWED))
        other = self.student(self._taps(as_floats(torch.from_numpy(self.foreign)[index]))[0])
        return loss + sum(o.square().mean() for o in other)

    @torch.inference_mode()
    def check(self) -> float:
        """Mean squared error on the held-out parts, in units of the taps' variance."""
        self.student.eval()
        errors = []
        for x in self.held_out.split(self.args.batch):
            stem, taps = self._taps(x)
            pairs = zip(self.standard.apply(taps), self.student(stem))
            errors.append(sum(float((t - s).square().mean()) for t, s in pairs) / 2 * len(x))
        return sum(errors) / len(self.held_out)

    @torch.inference_mode()
    def result(self) -> tuple[Student, Standard, Residual]:
        """The best student; b and w of what it leaves on held-out parts, in the teacher's units. All on the CPU."""
        self.student.load_state_dict(self.best)
        self.student.eval()
        differences = []
        for x in self.held_out.split(self.args.batch):
            stem, taps = self._taps(x)
            guess = [g * s + m for g, s, m in zip(self.student(stem), self.standard.spread, self.standard.mean)]
            differences.append([(t - g).cpu() for t, g in zip(taps, guess)])
        standard = Standard([m.cpu() for m in self.standard.mean], [s.cpu() for s in self.standard.spread])
        return self.student.cpu(), standard, Residual.measure(differences)


def imitation(wanted: list[Tensor], got: list[Tensor], hard: float) -> Tensor:
    """Mean squared error of each tap plus that of its hardest elements: easy background must not drown the part (after Batzner et
    al. 2024, EfficientAD)."""
    total = torch.zeros((), device=got[0].device)
    for w, g in zip(wanted, got):
        squared = (w - g).square()
        sample = squared.detach().flatten()[:: max(1, squared.numel() // 20_000)]
        limit = torch.quantile(sample, hard)
        chosen = (squared.detach() >= limit).to(squared.dtype)
        total = total + squared.mean() + 0.5 * (squared * chosen).sum() / chosen.sum().clamp_min(1.0)
    return total / len(got)


def plot(run) -> None:
    """`loss.png` from `log.jsonl`: training loss grey, held-out error blue, both on a logarithmic axis."""
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    if len(rows) < 2:
        return
    width, height, edge = 720, 360, 40
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    values = np.log10([[max(r["loss"], 1e-9), max(r["held_out"], 1e-9)] for r in rows])
    low, high = np.floor(values.min() * 4) / 4, np.ceil(values.max() * 4) / 4 + 1e-9
    x = [edge + (width - 2 * edge) * r["step"] / rows[-1]["step"] for r in rows]
    for level in np.arange(low, high + 1e-6, 0.25):
        y = edge + (height - 2 * edge) * (high - level) / (high - low)
        draw.line([(edge, y), (width - edge, y)], fill=(225, 225, 225))
        draw.text((4, y - 6), f"{10**level:.3g}", fill=(90, 90, 90))
    for column, (name, colour) in enumerate((("loss", (130, 130, 130)), ("held out", (20, 90, 200)))):
        y = edge + (height - 2 * edge) * (high - values[:, column]) / (high - low)
        draw.line(list(zip(x, y)), fill=colour, width=2)
        draw.text((width - 110, edge + 16 * column), name, fill=colour)
    draw.text((edge, height - 24), f"step 0 to {rows[-1]['step']}", fill=(90, 90, 90))
    picture.save(run / "loss.png")
