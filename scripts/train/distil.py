"""Distil frozen teachers into a backbone of the zoo.

The student regresses the teachers' standardised feature maps at 1/8 and 1/16 through linear heads that are thrown away
afterwards. Per map the loss is the mean squared error (targets have unit variance, so it reads as unexplained variance) plus
1 - cosine per position; maps at 1/8 count double, because they carry localisation and are the harder ones for a small net.

    python distil.py --backbone edge-s --images cache.npy --teacher mobilenet_v2_0.35.npz:8 --teacher mobilenet_v2_1.0.tflite \
        --minutes 60 --run runs/edge-s

Writes `RUN/last.pt` (everything that `--resume` needs), `RUN/final.pt` (what export.py reads) and `RUN/log.jsonl`. The learning
rate follows wall time (one cycle), so a run ends when it should on a machine that others use. Runs on CUDA when there is one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

# Before torch loads: threads that spin at a barrier cost more than they win on a machine that others use too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbone import ARCHITECTURES, Backbone
from images import Batches
from teachers import SCALES, Teacher, load_teacher

WARM_UP = 0.05  # share of the run in which the learning rate rises
LARGE_FROM = 0.6  # from here on half of the fresh batches are 256 px, the size that the net will see
REPLAY = 400  # teacher batches kept for reuse
VALIDATION = 256  # images at the end of the cache that are never trained on
WEIGHT = {8: 2.0, 16: 1.0}


@dataclass
class Target:
    """One feature map to imitate: which teacher, which scale, and the statistics that standardise it."""

    teacher: int
    scale: int
    mean: Tensor
    std: Tensor


class TeacherBatch:
    """Runs the teachers in bf16 on micro-batches: on a CPU's caches four times faster than f32 on a whole batch."""

    def __init__(self, teachers: list[Teacher], device: torch.device, micro: int):
        self.teachers, self.device, self.micro = teachers, device, micro
        self.wanted = [(t, s) for t, teacher in enumerate(teachers) for s in teacher.scales]

    @torch.inference_mode()
    def maps(self, x: Tensor) -> list[Tensor]:
        """The wanted maps, f32, in the order of `wanted`."""
        chunks = []
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            for part in x.split(self.micro):
                both = [teacher.net(part) for teacher in self.teachers]
                chunks.append([both[t][SCALES.index(s)] for t, s in self.wanted])
        return [torch.cat(maps).float() for maps in zip(*chunks)]

    def targets(self, batches: Batches, size_px: int) -> list[Target]:
        """Per-channel statistics over 512 augmented images."""
        gathered = [self.maps(batches.draw(64, size_px).to(self.device)) for _ in range(8)]
        out = []
        for k, (teacher, scale) in enumerate(self.wanted):
            maps = torch.cat([g[k] for g in gathered])
            mean, std = maps.mean((0, 2, 3), keepdim=True), maps.std((0, 2, 3), keepdim=True)
            out.append(Target(teacher, scale, mean.clone(), (std + 1e-4).clone()))
        return out

    def standardised(self, x: Tensor, targets: list[Target]) -> list[Tensor]:
        return [((m - t.mean) / t.std).clone() for m, t in zip(self.maps(x), targets)]


class Student(nn.Module):
    """The backbone and one linear head a target."""

    def __init__(self, name: str, targets: list[Target]):
        super().__init__()
        self.net = Backbone(name)
        self.scales = [t.scale for t in targets]
        self.heads = nn.ModuleList(
            nn.Conv2d(self.net.channels[SCALES.index(t.scale)], t.mean.shape[1], 1) for t in targets
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        taps = self.net(image)
        return [head(taps[SCALES.index(s)]) for head, s in zip(self.heads, self.scales)]


def imitation_loss(got: list[Tensor], want: list[Tensor], scales: list[int]) -> tuple[Tensor, list[Tensor]]:
    """The weighted loss, and the unexplained variance of each map for the log."""
    total, weights, errors = torch.zeros((), device=got[0].device), 0.0, []
    for g, w, scale in zip(got, want, scales):
        g = g.float()
        squared = F.mse_loss(g, w)
        total = total + WEIGHT[scale] * (squared + 1 - F.cosine_similarity(g, w, dim=1).mean())
        weights += WEIGHT[scale]
        errors.append(squared.detach())
    return total / weights, errors


def learning_rate(peak: float, progress: float) -> float:
    """One cycle: a linear rise, then a cosine to nearly nothing."""
    if progress < WARM_UP:
        return peak * (progress / WARM_UP + 1e-3)
    fall = min(1.0, (progress - WARM_UP) / (1 - WARM_UP))
    return peak * (0.5 * (1 + math.cos(math.pi * fall)) + 1e-3)


class Run:
    """One training run and its state on disk."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.device = torch.device("cuda" if torch.cuda.is_available() and not args.cpu else "cpu")
        torch.manual_seed(args.seed)
        cache = np.load(args.images, mmap_mode="r" if args.memory_map else None)
        if cache.ndim != 4 or cache.shape[1:] != (256, 256, 3) or len(cache) < 2 * VALIDATION:
            raise SystemExit(f"error: {args.images}: shape {cache.shape}, expected [N,256,256,3] with N >= {2 * VALIDATION}")
        self.held_out = Batches(cache[-VALIDATION:], seed=1).draw(VALIDATION, args.size_px)
        self.batches = Batches(cache[:-VALIDATION], args.seed, self.device)
        self.rng = np.random.default_rng(args.seed)
        self.teachers = [load_teacher(spec) for spec in args.teacher]
        for teacher in self.teachers:
            teacher.net.to(self.device)
        self.teach = TeacherBatch(self.teachers, self.device, 16 if self.device.type == "cpu" else args.batch)
        self.step, self.seen, self.elapsed_s = 0, 0, 0.0
        saved = torch.load(args.run / "last.pt", map_location=self.device, weights_only=True) if args.resume else None
        self.targets = [Target(**t) for t in saved["targets"]] if saved else self.teach.targets(self.batches, args.size_px)
        self.student = Student(args.backbone, self.targets).to(self.device, memory_format=torch.channels_last)
        self.forward = torch.compile(self.student, dynamic=False) if args.compile else self.student
        matrices = [p for p in self.student.parameters() if p.ndim > 1]
        vectors = [p for p in self.student.parameters() if p.ndim <= 1]
        groups = [dict(params=matrices, weight_decay=2e-2), dict(params=vectors, weight_decay=0.0)]
        self.optimiser = torch.optim.AdamW(groups, lr=args.rate, betas=(0.9, 0.99), fused=self.device.type == "cuda")
        self.average = {k: v.clone() for k, v in self.student.state_dict().items()}
        # Weights and running statistics alike; the batch counters are integers and stay as they are.
        floats = [k for k, v in self.average.items() if v.dtype.is_floating_point]
        self.averaged = [self.average[k] for k in floats]
        self.live = [v for k, v in self.student.state_dict().items() if k in set(floats)]
        self.replay: list[tuple[Tensor, list[Tensor]]] = []
        self.held_out_maps = self.teach.standardised(self.held_out.to(self.device), self.targets)
        if saved:
            self._restore(saved)

    def _restore(self, saved: dict) -> None:
        self.student.load_state_dict(saved["student"])
        self.optimiser.load_state_dict(saved["optimiser"])
        for name, value in saved["average"].items():
            self.average[name].copy_(value)
        self.step, self.seen, self.elapsed_s = saved["step"], saved["seen"], saved["elapsed_s"]
        # New draws, not the ones that were already seen.
        self.batches.rng = np.random.default_rng([self.args.seed, self.step])

    def _fresh(self, progress: float) -> tuple[Tensor, list[Tensor]]:
        large = progress > LARGE_FROM and self.rng.random() < 0.5
        size_px, count = (256, max(8, self.args.batch // 3)) if large else (self.args.size_px, self.args.batch)
        x = self.batches.draw(count, size_px).to(self.device)
        return x, self.teach.standardised(x, self.targets)

    def _next(self, progress: float) -> tuple[Tensor, list[Tensor]]:
        """A new teacher batch, or an old one: on a CPU the teachers cost more than the student."""
        if self.args.reuse == 1:
            return self._fresh(progress)
        if len(self.replay) < REPLAY or self.step % self.args.reuse == 0:
            x, maps = self._fresh(progress)
            item = (x.half(), [m.half() for m in maps])
            if len(self.replay) < REPLAY:
                self.replay.append(item)
            else:
                self.replay[self.rng.integers(REPLAY)] = item
            return x, maps
        x, maps = self.replay[self.rng.integers(len(self.replay))]
        return x.float(), [m.float() for m in maps]

    def train(self) -> None:
        """Until the time is up."""
        args, total_s = self.args, self.args.minutes * 60
        self.student.train()
        if args.compile:
            for progress in (0.0, *[1.0] * 8):  # both sizes, before the clock runs
                self._gradients(progress)
        log = open(args.run / "log.jsonl", "a")
        started, smooth, next_save_s = time.monotonic() - self.elapsed_s, None, self.elapsed_s + args.save_minutes * 60
        while self.elapsed_s < total_s:
            progress = self.elapsed_s / total_s
            rate = learning_rate(args.rate, progress)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            values = self._one_step(progress)
            smooth = values if smooth is None else 0.97 * smooth + 0.03 * values
            self.elapsed_s = time.monotonic() - started
            if self.step % 200 == 0 or self.elapsed_s > next_save_s:
                # Only here are figures fetched: a GPU would wait for each. What is not finite once stays so in the mean.
                loss, *errors = smooth.tolist()
                if not math.isfinite(loss):
                    raise SystemExit(f"error: the loss diverged by step {self.step}; {args.run}/last.pt holds the last good state")
                self._log(log, dict(rate=round(rate, 6), loss=round(loss, 4), unexplained=[round(e, 3) for e in errors]))
            if self.elapsed_s > next_save_s:
                next_save_s = self.elapsed_s + args.save_minutes * 60
                self._log(log, dict(held_out=self.validate()))
                self.save("last.pt")
                self.save(f"minute-{self.elapsed_s / 60:03.0f}.pt", resumable=False)
        self._log(log, dict(held_out=self.validate()))
        self.save("last.pt")
        self.save("final.pt", resumable=False)

    def _gradients(self, progress: float) -> tuple[Tensor, int]:
        """One batch forth and back; loss and unexplained variances in one tensor, and how many images there were."""
        x, maps = self._next(progress)
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.args.bf16):
            got = self.forward(x)
        loss, errors = imitation_loss(got, maps, self.student.scales)
        loss.backward()
        return torch.stack([loss.detach(), *errors]), len(x)

    def _one_step(self, progress: float) -> Tensor:
        values, count = self._gradients(progress)
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self.seen += count
        decay = min(self.args.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged, self.live, 1 - decay)
        return values

    @torch.inference_mode()
    def validate(self) -> list[float]:
        """Unexplained variance of each map on images never trained on, by the averaged weights."""
        net = Student(self.args.backbone, self.targets).to(self.device)
        net.load_state_dict(self.average)
        maps = [torch.cat(m) for m in zip(*(net.eval()(x.to(self.device)) for x in self.held_out.split(32)))]
        return [round(float(F.mse_loss(g, w)), 4) for g, w in zip(maps, self.held_out_maps)]

    def _log(self, log, record: dict) -> None:
        record = dict(minute=round(self.elapsed_s / 60, 2), step=self.step, seen=self.seen) | record
        print(record, flush=True)
        log.write(json.dumps(record) + "\n")
        log.flush()

    def provenance(self) -> dict[str, str]:
        """What the model card and the ONNX metadata say about this run."""
        counts = self.args.images.with_suffix(".json")
        teachers = [f"{t.name} (sha256 {t.digest}, scales {','.join(map(str, t.scales))})" for t in self.teachers]
        return {
            "jidoka.trained": "distilled from " + "; ".join(teachers),
            "jidoka.images": counts.read_text() if counts.is_file() else "not recorded",
            "jidoka.views": str(self.seen),
            "jidoka.steps": str(self.step),
            "jidoka.train_minutes": f"{self.elapsed_s / 60:.1f}",
            "jidoka.seed": str(self.args.seed),
        }

    def save(self, name: str, resumable: bool = True) -> None:
        state = dict(backbone=self.args.backbone, average=self.average, provenance=self.provenance())
        state["targets"] = [vars(t) for t in self.targets]
        if resumable:
            state |= dict(student=self.student.state_dict(), optimiser=self.optimiser.state_dict())
            state |= dict(step=self.step, seen=self.seen, elapsed_s=self.elapsed_s)
        temporary = self.args.run / f"{name}.tmp"
        torch.save(state, temporary)
        os.replace(temporary, self.args.run / name)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=sorted(ARCHITECTURES), default="edge-s")
    parser.add_argument("--images", type=Path, required=True, help="the array written by images.py")
    parser.add_argument("--teacher", action="append", required=True, help="see teachers.py; may be given several times")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints and log")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--save-minutes", type=float, default=10)
    parser.add_argument("--batch", type=int, default=24, help="small batches learn more per CPU second")
    parser.add_argument("--size-px", type=int, default=128, help="training size before the last quarter; a multiple of 16")
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--average", type=float, default=0.998, help="decay of the averaged weights, a step")
    parser.add_argument("--reuse", type=int, default=3, help="steps for each teacher batch; 1 where a GPU makes teachers cheap")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="student in bf16 as well")
    parser.add_argument("--compile", action="store_true", help="compile the student (a minute or two, then faster on a GPU)")
    parser.add_argument("--memory-map", action="store_true", help="leave the images on disk")
    parser.add_argument("--resume", action="store_true", help="go on from RUN/last.pt")
    parser.add_argument("--cpu", action="store_true", help="do not use CUDA")
    args = parser.parse_args()
    if args.size_px % 16:
        parser.error(f"--size-px {args.size_px} is not a multiple of 16")
    if args.resume and not (args.run / "last.pt").is_file():
        parser.error(f"--resume: {args.run / 'last.pt'} does not exist")
    return args


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    args.run.mkdir(parents=True, exist_ok=True)
    Run(args).train()


if __name__ == "__main__":
    main()
