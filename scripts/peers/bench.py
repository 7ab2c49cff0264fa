"""Ours against the peers, on the same graphs, in turns; see scripts/bench-peers for how to call it.

Every engine has one thread and the same input. A round runs each engine once, so that whatever else the machine does slows
all alike; what counts is the CPU time of the run, its median over the rounds, and the ratio of two medians of one series.
Before anything is measured, the outputs are compared: an engine that computes something else is no peer.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import ncnn
import numpy as np
import onnx
import onnxruntime
import openvino

from to_ncnn import Converter

# How far an output may be from onnxruntime's, relative to its greatest value. int8 engines round, and onnxruntime's own
# kernels saturate on CPUs without VNNI; the bound tells the same network from another one, no more.
APART = {"f32": 1e-2, "int8": 0.5}


class Process:
    """Our engine or tract, in a process of its own (runtime/engine/examples/peer.rs)."""

    def __init__(self, binary, model, feed, *flags):
        self.folder = tempfile.TemporaryDirectory()
        raw = Path(self.folder.name) / "input"
        raw.write_bytes(feed.tobytes())
        self.process = subprocess.Popen([binary, model, raw, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{model} does not load")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("the process ended")
        return answer

    def run(self):
        return int(self.ask("run")) * 1e-6

    def output(self):
        path = Path(self.folder.name) / "output"
        self.ask(f"dump {path}")
        return np.frombuffer(path.read_bytes(), np.float32)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.folder.cleanup()


class InProcess:
    """An engine with Python bindings: `call` runs once and gives the first output."""

    def run(self):
        began = time.process_time_ns()
        self.last = self.call()
        return (time.process_time_ns() - began) * 1e-6

    def output(self):
        return np.asarray(self.last, np.float32).ravel()

    def close(self):
        pass


class Onnxruntime(InProcess):
    def __init__(self, model, feed):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feeds = {session.get_inputs()[0].name: feed}
        self.call = lambda: session.run(None, feeds)[0]


class OpenVino(InProcess):
    def __init__(self, model, feed):
        core = openvino.Core()
        settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": "f32"}
        request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()
        request.set_input_tensor(openvino.Tensor(feed))

        def call():
            request.infer()
            return request.get_output_tensor(0).data

        self.call = call


class Ncnn(InProcess):
    def __init__(self, model, feed, folder, int8):
        stem = Path(folder) / ("int8" if int8 else "f32")
        output = Converter(model, int8).convert(stem)
        net = self.net = ncnn.Net()
        net.opt.num_threads = 1
        net.load_param(str(stem.with_suffix(".param")))
        net.load_model(str(stem.with_suffix(".bin")))
        image = self.image = ncnn.Mat(np.ascontiguousarray(feed[0]))

        def call():
            extractor = net.create_extractor()
            extractor.input("input", image)
            return extractor.extract(output)[1]

        self.call = call


def engines(graph, precision, model, feed, binary, folder, skip):
    """Name and a way to make each engine; a peer that cannot run a graph says so and is left out."""
    ways = {
        "ours": lambda: Process(binary, model, feed),
        "onnxruntime": lambda: Onnxruntime(model, feed),
        "openvino": lambda: OpenVino(model, feed),
        "tract": lambda: Process(binary, model, feed, "--tract"),
    }
    if graph in ("mobilenet-v2", "resnet18-layer3", "pdn-s"):
        floats = str(model).replace(".int8", "")
        ways["ncnn"] = lambda: Ncnn(floats, feed, folder, precision == "int8")
    made = {}
    for name, way in ways.items():
        if name in skip:
            continue
        try:
            made[name] = way()
            made[name].run()
        except Exception as error:  # whatever a peer throws
            if name == "ours":
                raise
            print(f"{graph} {precision}: {name} is left out: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
            made.pop(name, None)
    return made


def check(graph, precision, made):
    if "onnxruntime" not in made:
        return
    want = made["onnxruntime"].output()
    for name, engine in made.items():
        got = engine.output()
        apart = np.abs(got - want).max() / max(np.abs(want).max(), 1e-9) if got.size == want.size else np.inf
        print(f"{graph} {precision}: {name} is {apart:.1e} from onnxruntime", file=sys.stderr)
        if not apart <= APART[precision]:
            sys.exit(f"{graph} {precision}: {name} computes something else ({apart} apart)")


def feed_for(model):
    """Seeded noise in the shape and type of a model's input."""
    kind = onnx.load(model, load_external_data=False).graph.input[0].type.tensor_type
    shape = [d.dim_value or 1 for d in kind.shape.dim]
    random = np.random.default_rng(7)
    if kind.elem_type == onnx.TensorProto.UINT8:
        return random.integers(0, 256, shape, np.uint8)
    return random.random(shape, np.float32)


def measure(graph, precision, model, arguments):
    feed = feed_for(model)
    with tempfile.TemporaryDirectory() as folder:
        made = engines(graph, precision, model, feed, arguments.peer, folder, arguments.skip)
        check(graph, precision, made)
        times = {name: [] for name in made}
        ends = time.monotonic() + arguments.seconds
        while len(times["ours"]) < arguments.rounds and (time.monotonic() < ends or len(times["ours"]) < 5):
            for name, engine in made.items():
                times[name].append(engine.run())
        for engine in made.values():
            engine.close()
    medians = {name: statistics.median(values) for name, values in times.items()}
    ours = medians.pop("ours")
    row = {"graph": graph, "precision": precision}
    return [row | {"peer": name, "ours_ms": round(ours, 3), "theirs_ms": round(theirs, 3), "ratio": round(ours / theirs, 3)}
            for name, theirs in medians.items()]


def machine():
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    peers = ", ".join(f"{peer} {version(peer)}" for peer in ("onnxruntime", "openvino", "ncnn"))
    flags = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx_vnni") if f in Path("/proc/cpuinfo").read_text().split()]
    return (f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {' '.join(flags)}; {peers}; "
            f"load {os.getloadavg()[0]:.1f}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench-peers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--graphs", required=True, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="a list of {graph, precision, peer, ours_ms, theirs_ms, ratio}")
    parser.add_argument("--only", default="", help="graphs whose name (as `mobilenet-v2.int8`) has this in it")
    parser.add_argument("--model", action="append", default=[], type=Path,
                        help="a model of yours besides; int8 if its name ends in .int8.onnx")
    parser.add_argument("--skip", action="append", default=[], help="a peer to leave out")
    parser.add_argument("--rounds", type=int, default=60, help="at most this many rounds a graph")
    parser.add_argument("--seconds", type=float, default=40, help="no new round after this long (but at least five)")
    arguments = parser.parse_args()
    print(machine(), file=sys.stderr)
    rows = []
    for model in sorted(arguments.graphs.glob("*.onnx")) + arguments.model:
        graph = model.stem.removesuffix(".int8")
        precision = "int8" if model.stem.endswith(".int8") else "f32"
        if arguments.only in model.stem:
            rows += measure(graph, precision, str(model), arguments)
            for row in rows if not arguments.json else []:
                if row["graph"] == graph and row["precision"] == precision:
                    print("{graph:18} {precision:5} {peer:12} ours {ours_ms:9.2f} ms, theirs {theirs_ms:9.2f} ms, "
                          "ratio {ratio:.2f}".format(**row), flush=True)
    if arguments.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
