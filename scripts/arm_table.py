"""What scripts/bench-arm prints: tables or JSON of counted instructions, and whether they keep to their ceilings.

    arm_table.py --qemu VERSION [--steps] [--json] [--check CEILINGS.json] CPU.jsonl...

Each input holds the JSON lines that count-instructions printed on the CPU that the file is named after.
"""

import argparse
import json
import pathlib
import platform
import sys

# Kinds of step that are a smaller share of a graph's multiply-accumulates than this are not held to a ceiling a MAC.
LEAST_SHARE = 0.05


def kernels(run):
    """Instructions and MACs by kind of step and kernel."""
    groups = {}
    for step in run["steps"]:
        group = groups.setdefault(f"{step['kind']} {step['detail']}".strip(), [0, 0])
        group[0] += step["instructions"]
        group[1] += step["macs"]
    return groups


def excesses(runs, ceilings):
    """What is above its ceiling, and which ceiling was named for a graph or kernel that is not there."""
    for run in runs:
        limit = ceilings["graphs"].get(f"{run['graph']} {run['cpu']}")
        millions = run["instructions"] / 1e6
        if limit is not None and millions > limit:
            yield f"{run['graph']} on {run['cpu']}: {millions:.1f} million instructions, ceiling {limit}"
        for name, (instructions, macs) in kernels(run).items():
            limit = ceilings["instructions_per_mac"].get(f"{name} {run['cpu']}")
            if limit is not None and macs >= LEAST_SHARE * run["macs"] and instructions > limit * macs:
                spent = instructions / macs
                yield f"{run['graph']} on {run['cpu']}: `{name}` takes {spent:.3f} instructions a MAC, ceiling {limit}"


def print_steps(run):
    print(f"\n{run['graph']} on {run['cpu']} ({run['isa']})")
    for name, (instructions, macs) in sorted(kernels(run).items(), key=lambda g: -g[1][0]):
        each = f"{instructions / macs:8.4f} a MAC" if macs else ""
        print(f"  {instructions / 1e6:10.3f} M {100 * instructions / run['instructions']:5.1f} %  {name:40} {each}")


def print_table(runs):
    cpus = list(dict.fromkeys(run["cpu"] for run in runs))
    print(f"{'million instructions':36}" + "".join(f"{cpu:>24}" for cpu in cpus))
    for graph in dict.fromkeys(run["graph"] for run in runs):
        row = ""
        for cpu in cpus:
            run = next(r for r in runs if (r["graph"], r["cpu"]) == (graph, cpu))
            row += f"{run['instructions'] / 1e6:12.1f} {'(' + run['isa'] + ')':>11}"
        print(f"{graph:36}{row}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--qemu", required=True)
    arguments.add_argument("--steps", action="store_true")
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--check", type=pathlib.Path)
    arguments.add_argument("counts", nargs="+", type=pathlib.Path)
    options = arguments.parse_args()

    runs = []
    for path in options.counts:
        lines = [line for line in path.read_text().splitlines() if line.startswith("{")]
        runs += [{"cpu": path.stem, **json.loads(line)} for line in lines]
    if options.json:
        print(json.dumps({"qemu": options.qemu, "host": platform.machine(), "runs": runs}, indent=1))
    else:
        print(f"{options.qemu}, on {platform.machine()}; one thread")
        print_table(runs)
        if options.steps:
            for run in runs:
                print_steps(run)
    if options.check:
        found = list(excesses(runs, json.loads(options.check.read_text())))
        for line in found:
            print(f"above its ceiling: {line}", file=sys.stderr)
        sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
