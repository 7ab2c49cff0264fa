"""Drives scripts/bench-prepare: the same frame through our preparation, OpenCV's and Pillow's, in turns.

Ours runs in a child process that prepares on request and answers with the CPU time it took, so that all three are measured
in the same seconds on the same core, and slow moments of the machine fall on all of them alike.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
SCALE = np.float32(0.02)
# OpenCV's conversions from each format, and bytes a pixel.
FORMATS = {
    "YUYV": (cv2.COLOR_YUV2RGB_YUY2, 2),
    "NV12": (cv2.COLOR_YUV2RGB_NV12, 1.5),
    "SRGGB8": (cv2.COLOR_BayerBG2RGB, 1),
    "RGB24": (None, 3),
}


class Ours:
    """Our preparation in a child process."""

    def __init__(self, program, name, size, target, frame):
        arguments = [program, name, *map(str, size), *map(str, target), frame]
        self.child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, count):
        """CPU milliseconds a frame over `count` frames."""
        self.child.stdin.write(f"{count}\n")
        self.child.stdin.flush()
        return float(self.child.stdout.readline())

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def frame_of(name, size):
    """A frame with structure and noise, as bytes in the format."""
    rng = np.random.default_rng(7)
    width, height = size
    count = int(width * height * FORMATS[name][1])
    waves = 110 + 70 * np.sin(np.arange(count) / 37.0)
    return np.clip(waves + rng.normal(0, 12, count), 0, 255).astype(np.uint8)


def shaped(name, data, size):
    """The bytes as OpenCV takes them."""
    width, height = size
    shape = {"YUYV": (height, width, 2), "NV12": (height * 3 // 2, width), "SRGGB8": (height, width)}
    return data.reshape(shape.get(name, (height, width, 3)))


def rgb(name, image):
    code = FORMATS[name][0]
    return image if code is None else cv2.cvtColor(image, code)


def quantise(image):
    values = (image.astype(np.float32) / 255 - MEAN) / STD
    return np.clip(np.rint(values / SCALE), -128, 127).astype(np.int8)


def cpu_ms(function, count):
    start = time.thread_time_ns()
    for _ in range(count):
        function()
    return (time.thread_time_ns() - start) / 1e6 / count


def compare(program, name, size, target, rounds, folder):
    data = frame_of(name, size)
    path = Path(folder) / name
    path.write_bytes(data.tobytes())
    image = shaped(name, data, size)
    ours = Ours(program, name, size, target, path)

    def opencv():
        return cv2.resize(rgb(name, image), target, interpolation=cv2.INTER_AREA)

    def pillow():
        return np.asarray(Image.fromarray(rgb(name, image)).resize(target, Image.Resampling.BOX))

    peers = {
        "ours": ours.run,
        "OpenCV": lambda count: cpu_ms(opencv, count),
        "OpenCV, int8": lambda count: cpu_ms(lambda: quantise(opencv()), count),
        "Pillow": lambda count: cpu_ms(pillow, count),
    }
    times = {peer: [] for peer in peers}
    for _ in range(rounds):
        for peer, run in peers.items():
            times[peer].append(run(5))
    ours.close()
    return {peer: statistics.median(values) for peer, values in times.items()}


def size(text):
    width, height = text.split("x")
    return int(width), int(height)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--frame", type=size, default=(1280, 960))
    parser.add_argument("--target", type=size, default=(256, 256))
    args = parser.parse_args()
    cv2.setNumThreads(1)
    megapixels = args.frame[0] * args.frame[1] / 1e6
    print(f"{args.frame[0]}x{args.frame[1]} to {args.target[0]}x{args.target[1]}, median CPU ms a frame of {args.rounds} rounds")
    print(f"{'format':8} {'ours':>8} {'ms/MP':>8} {'OpenCV':>8} {'ratio':>6} {'+int8':>8} {'ratio':>6} {'Pillow':>8} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            found = compare(args.program, name, args.frame, args.target, args.rounds, folder)
            ours = found["ours"]
            cells = "".join(f" {found[peer]:8.3f} {ours / found[peer]:6.2f}" for peer in ("OpenCV", "OpenCV, int8", "Pillow"))
            print(f"{name:8} {ours:8.3f} {ours / megapixels:8.3f}{cells}")


if __name__ == "__main__":
    main()
