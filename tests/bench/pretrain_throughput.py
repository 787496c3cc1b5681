#!/usr/bin/env python3
"""Pre-training throughput of lifescope beside the PyTorch reference: same machine, same documents, same weights.

    pretrain_throughput.py BENCH CORPUS [--threads N] [--rounds N]

BENCH is build/dev/bin/pretrain_step_bench, CORPUS a corpus folder. Needs torch, performer-pytorch 1.1.4 and
local-attention 1.9.14. Each round times some steps of each side, one after the other; the table gives medians over
rounds, and the median of the rounds' ratios with its range. Tokens are those of the documents: padding, which the
reference computes and lifescope does not, is not counted.
"""

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
import time

import torch

from pretrain_reference import Trainer

# name: shape, documents, slots, timed steps of a round
CASES = {"small": ("small", 16, 256, 6), "paper": ("life2vec", 2, 512, 2)}


def lifescope(bench, *arguments):
    done = subprocess.run([bench, *map(str, arguments)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def reference_seconds(trainer, steps):
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        trainer.step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure(options, name):
    shape, documents, slots, steps = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        at = ["--corpus", options.corpus, "--shape", shape, "--documents", documents, "--slots", slots,
              "--threads", options.threads]
        written = lifescope(options.bench, *at, "--write", folder)
        trainer = Trainer(folder)
        trainer.check(written["mlm"], written["sop"])
        trainer.step()
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(lifescope(options.bench, *at, "--steps", steps)["seconds"])
            theirs.append(reference_seconds(trainer, steps))
    tokens = written["tokens"]
    ratios = [b / a for a, b in zip(ours, theirs)]
    print(f"| {name}: {documents} x {slots} slots, {tokens} tokens | {tokens / statistics.median(ours):.0f} | "
          f"{tokens / statistics.median(theirs):.0f} | {statistics.median(ratios):.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f}) |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("corpus")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{platform.platform()}; torch {torch.__version__}; {options.threads} threads; {options.rounds} rounds\n")
    print("| batch | lifescope, tokens/s | reference, tokens/s | ratio |\n|---|---|---|---|")
    for name in options.cases:
        measure(options, name)


if __name__ == "__main__":
    main()
