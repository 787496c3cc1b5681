"""Pre-training that is killed and resumed: the same bytes, the same lines, the same rows as one that was left alone."""

import contextlib
import pathlib
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time
import unittest

from lifescope import BIN, clean_environment, lifescoped

STEPS = 60
KILLS = 4
# Dropout, augmentation, accumulation, redraws and several epochs: everything that has a state.
TRAINING = ["--corpus", "world", "--steps", STEPS, "--batch", 6, "--accumulate", 2, "--hidden", 16, "--ff", 32,
            "--layers", 2, "--heads", 4, "--local-heads", 2, "--dropout", "0.1", "--validate-every", 10,
            "--checkpoint-every", 7, "--set", "resample=0.4", "--set", "abspos_noise=0.3", "--set",
            "shuffle_within_events=true", "--set", "redraw_interval=9"]


class PretrainTest(unittest.TestCase):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="lifescope-e2e-pretrain-"))
        self.addCleanup(shutil.rmtree, self.home)
        lifescoped("synthesize", "--home", self.home, "--name", "world", "--persons", 100, "--max-length", 96)

    def arguments(self, name, *more):
        return ["pretrain", "--home", self.home, "--name", name, *TRAINING, *more]

    def losses(self, name):
        return self.home / "models" / f".{name}.loss.csv"

    def killed_after(self, lines, *arguments):
        """Starts pretrain and kills it, kill -9, once its loss file has that many lines."""
        command = [BIN / "lifescoped", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   env=clean_environment())
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                if self.losses("killed").read_bytes().count(b"\n") >= lines:
                    break
            time.sleep(0.001)
        alive = process.poll() is None
        process.kill()
        error = process.communicate()[1]
        self.assertTrue(alive, f"ended before it was killed: {error}")

    def metrics(self, model):
        database = sqlite3.connect(self.home / "lifescope.db")
        with contextlib.closing(database):
            return database.execute(
                "SELECT step, learning_rate, loss, mlm_loss, sop_loss, validation_mlm_loss FROM training_metric "
                "WHERE run_row IN (SELECT id FROM training_run WHERE model = ?) ORDER BY step", [model]).fetchall()

    def test_kill_9_at_any_step_changes_nothing(self):
        lifescoped(*self.arguments("whole"))
        steps = sorted(random.sample(range(1, STEPS - 15), KILLS))
        for kill, step in enumerate(steps):
            self.killed_after(step + 1, *self.arguments("killed", *(["--resume"] if kill else [])))
        lifescoped(*self.arguments("killed", "--resume"))
        whole, killed = self.home / "models" / "whole", self.home / "models" / "killed"
        for file in ("model.safetensors", "best/model.safetensors", "hparams.json", "vocab.tsv", "loss.csv"):
            self.assertEqual((whole / file).read_bytes(), (killed / file).read_bytes(), f"{file}, killed at {steps}")
        self.assertEqual(self.metrics("whole"), self.metrics("killed"), f"killed at {steps}")
        self.assertEqual([row[0] for row in self.metrics("whole")], list(range(1, STEPS + 1)))
        self.assertEqual(len(list((self.home / "models").iterdir())), 2, "no hidden file is left")

    def test_a_run_that_was_killed_must_be_resumed_with_the_same_flags(self):
        self.killed_after(9, *self.arguments("killed"))
        for more, message in (([], "an unfinished run"), (["--resume", "--seed", 2], "seed 1, this one has 2")):
            done = subprocess.run([BIN / "lifescoped", *map(str, self.arguments("killed", *more))],
                                  capture_output=True, text=True, env=clean_environment())
            self.assertEqual(done.returncode, 1)
            self.assertIn(message, done.stderr)

    def test_the_curve_is_a_picture_beside_the_weights(self):
        lifescoped(*self.arguments("whole"))
        svg = (self.home / "models" / "whole" / "curve.svg").read_text()
        self.assertTrue(svg.startswith("<svg "))
        self.assertIn("Pre-training of whole", svg)


if __name__ == "__main__":
    unittest.main()
