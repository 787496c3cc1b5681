#!/usr/bin/env python3
"""Training steps of the dictionary libraries that researchers use, at the sizes of sae_step_bench.

    python3 -m venv peers && peers/bin/pip install torch dictionary-learning sae-lens eai-sparsify
    peers/bin/python tests/bench/peers.py time --threads 1 2 --json peers.json
    peers/bin/python tests/bench/peers.py equal build/dev/bin/sae_step_bench
    peers/bin/python tests/bench/peers.py table ours.json peers.json

`time` drives the libraries' own trainers (dictionary_learning), training step (SAELens) or forward pass and optimiser
(sparsify) with batches made beforehand, and writes JSON in the form of `sae_step_bench --json`. `equal` takes the same
weights and batches through dictionary_learning's trainers and ours and compares the losses of every step. `table` joins
the JSON of both into the table of docs/benchmarks.md.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import torch

os.environ["SPARSIFY_DISABLE_TRITON"] = "1"  # its kernels want a GPU
LEARNING_RATE = 1e-6  # small, so that a measurement does not change what it measures
BATCHES = 4
TRAINER = {"steps": 10**6, "layer": 0, "lm_name": "", "device": "cpu", "warmup_steps": 0, "lr": LEARNING_RATE}


class Problem:
    """Rows, directions of norm 1 and the bias at which rows have an L0 of options.l0."""

    def __init__(self, options):
        torch.manual_seed(1)
        self.options = options
        self.batches = [torch.randn(options.rows, options.width) for _ in range(BATCHES)]
        self.encoder = torch.nn.functional.normalize(torch.randn(options.features, options.width), dim=1)
        sample = (self.batches[0][:256] @ self.encoder.T).flatten()
        above = max(int(sample.numel() * options.l0 / options.features), 1)
        self.bias = torch.full((options.features,), -sample.topk(above).values.min().item())


def dictionary_learning(family, problem, **changes):
    """A step of its trainer; the trainer too."""
    from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
    from dictionary_learning.trainers.gdm import GatedSAETrainer
    from dictionary_learning.trainers.jumprelu import JumpReluTrainer
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer
    from dictionary_learning.trainers.standard import StandardTrainer
    from dictionary_learning.trainers.top_k import TopKTrainer

    options = problem.options
    settings = {**TRAINER, "activation_dim": options.width, "dict_size": options.features, **changes}
    k = {"k": options.k}
    make = {
        "topk": lambda: TopKTrainer(**settings, **k),
        "batch_topk": lambda: BatchTopKTrainer(**settings, **k),
        "matryoshka": lambda: MatryoshkaBatchTopKTrainer(
            **settings, **k, group_fractions=[1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2 + 1 / 32]),
        "relu": lambda: StandardTrainer(**settings, sparsity_warmup_steps=None),
        "gated": lambda: GatedSAETrainer(**settings, sparsity_warmup_steps=None),
        "jumprelu": lambda: JumpReluTrainer(**settings, sparsity_warmup_steps=None),
    }[family]
    trainer = make()
    set_weights(trainer.ae, problem, family)
    return trainer, lambda step: trainer.update(step + 1, problem.batches[step % BATCHES])


@torch.no_grad()
def set_weights(module, problem, family):
    """By shape and name: libraries store either orientation."""
    threshold_family = family in ("relu", "gated", "jumprelu", "standard")
    for name, parameter in module.named_parameters():
        last = name.split(".")[-1]
        if parameter.dim() == 2:
            parameter.copy_(problem.encoder if parameter.shape == problem.encoder.shape else problem.encoder.T)
        elif parameter.numel() == problem.options.features and last in ("bias", "b_enc", "gate_bias", "mag_bias",
                                                                        "b_gate", "b_mag"):
            parameter.copy_(problem.bias if threshold_family else torch.zeros_like(problem.bias))


def sae_lens(family, problem):
    from sae_lens import (JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig, StandardTrainingSAE,
                          StandardTrainingSAEConfig, TopKTrainingSAE, TopKTrainingSAEConfig)
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    options = problem.options
    sizes = {"d_in": options.width, "d_sae": options.features, "device": "cpu", "dtype": "float32"}
    sae = {
        "relu": lambda: StandardTrainingSAE(StandardTrainingSAEConfig(**sizes, l1_coefficient=0.1)),
        "topk": lambda: TopKTrainingSAE(TopKTrainingSAEConfig(**sizes, k=options.k)),
        "jumprelu": lambda: JumpReLUTrainingSAE(JumpReLUTrainingSAEConfig(**sizes, l0_coefficient=0.1)),
    }[family]()
    set_weights(sae, problem, family)
    config = SAETrainerConfig(total_training_samples=options.rows * 10**6, train_batch_size_samples=options.rows,
                              lr=LEARNING_RATE, lr_end=LEARNING_RATE)
    trainer = SAETrainer(config, sae, iter(()))
    return trainer, lambda step: trainer._train_step(sae, problem.batches[step % BATCHES])


def sparsify(optimiser, problem):
    from schedulefree import ScheduleFreeWrapper
    from sparsify import SparseCoder, SparseCoderConfig
    from sparsify.sign_sgd import SignSGD

    options = problem.options
    coder = SparseCoder(options.width, SparseCoderConfig(num_latents=options.features, k=options.k))
    set_weights(coder, problem, "topk")
    if optimiser == "signum":
        stepper = ScheduleFreeWrapper(SignSGD(coder.parameters(), lr=LEARNING_RATE), momentum=0.95)
        stepper.train()
    else:
        stepper = torch.optim.Adam(coder.parameters(), lr=LEARNING_RATE)
    fired_last = torch.zeros(options.features, dtype=torch.long)

    def step(index):
        rows = problem.batches[index % BATCHES]
        coder.set_decoder_norm_to_unit_norm()
        out = coder(rows, dead_mask=fired_last > 10_000_000)
        (out.fvu + out.auxk_loss / 32).backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        stepper.step()
        stepper.zero_grad()
        fired_last.add_(len(rows))
        fired_last[out.latent_indices.flatten()] = 0

    return coder, step


PEERS = {
    **{("dictionary_learning", family): (dictionary_learning, family)
       for family in ("topk", "batch_topk", "matryoshka", "relu", "gated", "jumprelu")},
    **{("SAELens", family): (sae_lens, family) for family in ("topk", "relu", "jumprelu")},
    ("sparsify, signum", "topk"): (sparsify, "signum"),
    ("sparsify, Adam", "topk"): (sparsify, "adam"),
}


def version(package):
    from importlib.metadata import version as of
    return of(package)


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(": ", 1)[1]
    return "unknown"


def run_time(options):
    problem = Problem(options)
    out = {"machine": cpu_name(), "torch": torch.__version__,
           "blas": "MKL" if torch.backends.mkl.is_available() else "other",
           "packages": {name: version(name) for name in ("dictionary-learning", "sae-lens", "eai-sparsify")},
           "width": options.width, "features": options.features, "rows": options.rows, "k": options.k,
           "repetitions": options.repetitions, "steps": []}
    print(f"{out['machine']}; torch {torch.__version__}; {out['packages']}", flush=True)
    for threads in options.threads:
        torch.set_num_threads(threads)
        for (side, family), (make, argument) in PEERS.items():
            if options.families and family not in options.families or options.sides and side not in options.sides:
                continue
            trainer, step = make(argument, problem)
            seconds, cpu = [], []
            for index in range(options.repetitions + 2):
                start, cpu_start = time.perf_counter(), time.process_time()
                step(index)
                if index >= 2:
                    seconds.append(time.perf_counter() - start)
                    cpu.append(time.process_time() - cpu_start)
            del trainer, step
            row = {"side": side, "family": family, "threads": threads, "seconds": statistics.median(seconds),
                   "least": min(seconds), "most": max(seconds), "cpu_seconds": statistics.median(cpu)}
            out["steps"].append(row)
            print(f"| {family} | {side} | {threads} | {row['seconds']:.4f} | {row['least']:.4f} to {row['most']:.4f} | "
                  f"{row['cpu_seconds']:.4f} |",
                  flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(out, indent=2) + "\n")


def losses_of_theirs(family, problem):
    trainer, _ = dictionary_learning(family, problem, lr=1e-3)
    losses = []
    for step in range(problem.options.steps):
        rows = problem.batches[step % BATCHES]
        losses.append(trainer.loss(rows, step=step + 1, logging=True).losses["loss"])
        if family in ("topk", "batch_topk", "matryoshka"):
            trainer.num_tokens_since_fired.zero_()  # that call counted the batch; the update counts it again
        trainer.update(step + 1, rows)
    return losses


def run_equal(options):
    from safetensors.torch import save_file

    options.width, options.features, options.rows, options.k, options.l0 = 24, 160, 64, 8, 16
    torch.set_num_threads(1)
    problem = Problem(options)
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/problem.safetensors"
        tensors = {"encoder": problem.encoder, "bias": problem.bias, "batches": torch.stack(problem.batches)}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
        for family in options.families or ("topk", "batch_topk", "matryoshka", "relu", "gated", "jumprelu"):
            theirs = losses_of_theirs(family, problem)
            done = subprocess.run([options.bench, "--replay", path, "--families", family, "--k", str(options.k),
                                   "--repetitions", str(options.steps)], capture_output=True, text=True, check=True)
            ours = json.loads(done.stdout)
            difference = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))
            worst = max(worst, difference)
            print(f"{family}: {theirs[0]:.6g} to {theirs[-1]:.6g} in {options.steps} steps, largest relative difference "
                  f"{difference:.1e}")
    return 0 if worst < options.tolerance else 1


def run_table(options):
    of = "cpu_seconds" if options.cpu else "seconds"
    ours, theirs = (json.loads(pathlib.Path(path).read_text()) for path in (options.ours, options.theirs))
    steps = {}
    for row in ours["steps"] + theirs["steps"]:
        steps.setdefault((row["family"], row["threads"]), {})[row["side"]] = row[of]
    print("| family | threads | lifescope, s | dense ATen, s | ratio | fastest library, s | ratio |\n"
          "|---|---|---|---|---|---|---|")
    for (family, threads), sides in steps.items():
        if "lifescope" not in sides:
            continue
        own, dense = sides.pop("lifescope"), sides.pop("dense ATen", None)
        best = min(sides, key=sides.get, default=None)
        against_dense = f"{dense:.3f} | {dense / own:.1f}" if dense else "| "
        against_best = f"{best} {sides[best]:.3f} | {sides[best] / own:.1f}" if best else "| "
        print(f"| {family} | {threads} | {own:.3f} | {against_dense} | {against_best} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    timing = commands.add_parser("time")
    timing.add_argument("--width", type=int, default=280)
    timing.add_argument("--features", type=int, default=8960)
    timing.add_argument("--rows", type=int, default=4096)
    timing.add_argument("--k", type=int, default=32)
    timing.add_argument("--l0", type=float, default=64)
    timing.add_argument("--repetitions", type=int, default=5)
    timing.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    timing.add_argument("--families", nargs="*")
    timing.add_argument("--sides", nargs="*")
    timing.add_argument("--json")
    timing.set_defaults(run=run_time)
    equal = commands.add_parser("equal")
    equal.add_argument("bench")
    equal.add_argument("--steps", type=int, default=8)
    equal.add_argument("--families", nargs="*")
    equal.add_argument("--tolerance", type=float, default=1e-4)
    equal.set_defaults(run=run_equal)
    table = commands.add_parser("table")
    table.add_argument("ours")
    table.add_argument("theirs")
    table.add_argument("--cpu", action="store_true", help="processor time, which other programs disturb less")
    table.set_defaults(run=run_table)
    options = parser.parse_args()
    sys.exit(options.run(options))


if __name__ == "__main__":
    main()
