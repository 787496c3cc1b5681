"""Dictionaries trained by recipe: several on one stream, from a model or from shards, killed and resumed to the byte."""

import json
import random
import re
import shutil
import subprocess
import time
import unittest

from lifescope import BIN, Client, Server, clean_environment, home_of_its_own, lifescoped

FAMILY = """
steps: 600 batch_rows: 256 buffer_rows: 4000 checkpoint_interval: 25
dictionaries { name: "topk" reads: "blocks.1.hook_resid_post" features: 64 k: 4 }
dictionaries { name: "batchtopk" base: "dictionary_learning/batchtopk" features: 64 k: 4 seed: 3
               matmul: "bfloat16" }
dictionaries { name: "relu" base: "dictionary_learning/standard" features: 64 sparsity_coefficient: 0.05 }
dictionaries { name: "p_anneal" base: "dictionary_learning/p_anneal" features: 64 }
dictionaries { name: "jumprelu" base: "dictionary_learning/jumprelu" features: 64 target_l0: 6 }
dictionaries { name: "resampled" base: "bricken/standard" features: 64 resample_rows: 1000 }
dictionaries { name: "layer_norm" base: "openai/topk" features: 64 k: 4 }
dictionaries { name: "codebook" base: "codebook_features/base" features: 64 k: 4 }
dictionaries { name: "transcoder" base: "sparsify/skip_transcoder" features: 64 k: 4
               reads: "blocks.1.hook_resid_mid" predicts: "blocks.1.hook_mlp_out" }
dictionaries { name: "crosscoder" base: "model_diff/crosscoder" features: 64 normalisation: "sqrt_width"
               reads: "blocks.0.hook_resid_post" reads: "blocks.1.hook_resid_post" }
"""
NAMES = ("topk", "batchtopk", "relu", "p_anneal", "jumprelu", "resampled", "layer_norm", "codebook", "transcoder", "crosscoder")


class TrainSaeTest(unittest.TestCase):
    def setUp(self):
        self.home = home_of_its_own(self.addCleanup)
        (self.home / "family.textproto").write_text(FAMILY)

    def dictionary(self, name):
        return self.home / "dictionaries" / name

    def arguments(self, *more):
        return ["train-sae", "--home", self.home, "--model", "demo", "--corpus", "demo", *more]

    def family(self, *more):
        return self.arguments("--recipe", self.home / "family.textproto", *more)

    def run_family(self, *more):
        return subprocess.run([BIN / "lifescoped", *map(str, self.family(*more))], capture_output=True, text=True,
                              env=clean_environment())

    def killed(self, checkpoints, *more):
        """Starts the training and kills it, kill -9, at some moment after it wrote that many checkpoints."""
        process = subprocess.Popen([BIN / "lifescoped", *map(str, self.family(*more))], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True, env=clean_environment())
        file = self.home / "dictionaries/.topk.checkpoint.safetensors"
        seen, written, deadline = set(), 0, time.monotonic() + 60
        if more:
            seen.add(file.stat().st_ino)
        while process.poll() is None and time.monotonic() < deadline and written < checkpoints:
            if file.exists() and file.stat().st_ino not in seen:
                seen = {file.stat().st_ino}
                written += 1
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.05))
        alive = process.poll() is None
        process.kill()
        error = process.communicate()[1]
        self.assertTrue(alive, f"ended before it was killed: {error}")

    def test_kill_9_at_any_step_changes_no_byte(self):
        lifescoped(*self.family())
        whole = {name: (self.dictionary(name) / "sae_weights.safetensors").read_bytes() for name in NAMES}
        curves = {name: (self.dictionary(name) / "training.csv").read_bytes() for name in NAMES}
        shutil.rmtree(self.home / "dictionaries")
        self.killed(2)
        # As a kill within the write of a checkpoint leaves it; that of another name is not ours.
        for name in (".topk.checkpoint.safetensors.tmp-999999-3", ".topk2.checkpoint.safetensors.tmp-999999-3"):
            (self.home / "dictionaries" / name).write_bytes(b"half")
        self.killed(3, "--resume")
        said = lifescoped(*self.family("--resume"))
        (self.home / "dictionaries/.topk2.checkpoint.safetensors.tmp-999999-3").unlink()
        for name in NAMES:
            with self.subTest(name):
                self.assertEqual((self.dictionary(name) / "sae_weights.safetensors").read_bytes(), whole[name])
                self.assertEqual((self.dictionary(name) / "training.csv").read_bytes(), curves[name])
                self.assertIn(f"dictionaries/{name}", said)
        self.assertEqual({path.name for path in (self.home / "dictionaries").iterdir()}, set(NAMES))

    def test_a_stopped_training_is_resumed_with_the_same_recipe_alone(self):
        self.killed(1)
        for more, message in (([], "an unfinished run"), (["--resume", "--set", "learning_rate=0.5"], "the stopped run")):
            done = self.run_family(*more)
            self.assertEqual(done.returncode, 1)
            self.assertIn(message, done.stderr)

    def test_one_that_diverges_is_stopped_and_named_and_the_others_go_on(self):
        lifescoped(*self.family())
        whole = {name: (self.dictionary(name) / "sae_weights.safetensors").read_bytes() for name in NAMES}
        shutil.rmtree(self.home / "dictionaries")
        (self.home / "family.textproto").write_text(FAMILY.replace('sparsity_coefficient: 0.05', 'learning_rate: 1e30'))
        self.killed(2)
        done = self.run_family("--resume")
        self.assertEqual(done.returncode, 1)
        message = (r"dictionary relu was stopped at step (\d+): its loss, a gradient or a weight is not finite "
                   r"\(the last finite loss: (\S+)\)")
        step, last = re.search(message, done.stderr).groups()
        self.assertNotIn("the others go on", done.stderr, "it was stopped before the kill")
        self.assertFalse(self.dictionary("relu").exists())
        self.assertEqual({path.name for path in (self.home / "dictionaries").iterdir()},
                         set(NAMES) - {"relu"} | {".relu.stopped"})
        for name in set(NAMES) - {"relu"}:
            with self.subTest(name):
                self.assertEqual((self.dictionary(name) / "sae_weights.safetensors").read_bytes(), whole[name])
                self.assertNotIn("stopped", json.loads((self.dictionary(name) / "training.json").read_text()))
        left = self.home / "dictionaries/.relu.stopped"
        stopped = json.loads((left / "training.json").read_text())["stopped"]
        self.assertEqual(stopped["step"], int(step))
        self.assertAlmostEqual(stopped["last_finite_loss"] / float(last), 1, 4)
        self.assertEqual({path.name for path in left.iterdir()}, {"training.json", "training.csv", "training.svg"})
        rows = (left / "training.csv").read_text().splitlines()
        self.assertEqual(rows[0], "step,loss,term_mse,term_sparsity,fvu,l0,dead,resampled")

        # Alone, with a rate of its own: what was left of it goes.
        said = lifescoped(*self.arguments("--name", "relu", "--base", "dictionary_learning/standard", "--features", 64,
                                          "--steps", 20, "--batch", 256))
        self.assertIn("(mse ", said)
        self.assertFalse(left.exists())

    def test_what_was_trained_says_how(self):
        lifescoped(*self.family("--set", "features=48"))
        for name in NAMES:
            with self.subTest(name):
                training = json.loads((self.dictionary(name) / "training.json").read_text())
                self.assertIn("features: 48", training["recipe"])
                self.assertEqual(training["origin"]["models"][0]["name"], "demo")
                self.assertEqual(training["trained_together"], len(NAMES))
                self.assertIn("<svg", (self.dictionary(name) / "training.svg").read_text())
        card = lifescoped("evaluate", "--home", self.home, "--dictionary", "batchtopk", "--corpus", "demo", "--resamples",
                          20, "--max-persons", 12)
        self.assertLess(float(re.search(r"\n  l0 +(\S+)", card).group(1)), 8, "k is 4: the threshold of inference is set")
        for name in ("layer_norm", "codebook"):
            self.assertIn("fvu", lifescoped("evaluate", "--home", self.home, "--dictionary", name, "--corpus", "demo",
                                            "--resamples", 20, "--max-persons", 12))
        with self.assertRaisesRegex(AssertionError, "a crosscoder over blocks.0"):
            lifescoped("index", "--home", self.home, "--dictionary", "crosscoder", "--corpus", "demo")
        with Server(folder=self.home) as server:
            client = Client(server.address)
            served = {one["name"]: one for one in client.json("dictionaries")["dictionaries"]}
            shown = client.show("dictionaries")
        self.assertEqual(set(served), set(NAMES) - {"crosscoder"})
        self.assertEqual(served["transcoder"]["outputHookPoint"], "blocks.1.hook_mlp_out")
        self.assertRegex(shown, r"transcoder +demo +blocks.1.hook_resid_mid +blocks.1.hook_mlp_out")
        self.assertFalse(served["topk"].get("outputHookPoint"))
        cross = json.loads((self.dictionary("crosscoder") / "cfg.json").read_text())
        self.assertEqual(cross["metadata"]["hook_name"], "blocks.0.hook_resid_post+blocks.1.hook_resid_post")
        trans = json.loads((self.dictionary("transcoder") / "cfg.json").read_text())
        self.assertEqual(trans["metadata"]["hook_name_out"], "blocks.1.hook_mlp_out")

    def judge(self, verb, *arguments):
        return lifescoped(verb, "--home", self.home, "--corpus", "demo", "--resamples", 20, "--max-persons", 12,
                          *arguments)

    def card(self, name):
        return json.loads((self.home / "cards" / f"{name}-demo-validation" / "card.json").read_text())

    def test_transcoders_and_crosscoders_are_judged(self):
        lifescoped(*self.family("--set", "features=48"))
        said = self.judge("evaluate", "--dictionary", "transcoder", "--by", "category")
        self.assertIn("transcoder: reads blocks.1.hook_resid_mid, predicts blocks.1.hook_mlp_out of model demo", said)
        card = self.card("transcoder")
        figures = {m["name"]: m["value"] for section in card["sections"] for m in section["metrics"]}
        self.assertLess(figures["fvu"], 0.9, "it predicts something")
        self.assertLessEqual(figures["l0"], 4)
        self.assertNotEqual(figures["cross_entropy_zero_ablated"], figures["cross_entropy_clean"])

        said = self.judge("evaluate", "--dictionary", "crosscoder")
        self.assertIn("crosscoder: over blocks.0.hook_resid_post, blocks.1.hook_resid_post of model demo", said)
        sections = self.card("crosscoder")["sections"]
        for hook_point in ("blocks.0.hook_resid_post", "blocks.1.hook_resid_post"):
            there = {m["name"] for section in sections if section.get("hook_point") == hook_point
                     for m in section["metrics"]}
            self.assertLessEqual({"fvu", "cosine", "mse_sum", "loss_recovered_zero", "kl_spliced"}, there)
        across = next(section for section in sections if section["title"] == "across hook points")["metrics"]
        norms = [m["value"] for m in across if m["name"] == "relative_decoder_norm"]
        self.assertAlmostEqual(sum(norms), 1)
        self.assertFalse((self.home / "cards/crosscoder-demo-validation/spectrum.svg").exists(), "it has no spectrum")
        pairs = self.home / "pairs.csv"
        pairs.write_text("relation,first,second\na,0,1\na,2,3\nb,4,5\n")
        with self.assertRaisesRegex(AssertionError, "--pairs: crosscoder is a crosscoder over blocks.0"):
            self.judge("evaluate", "--dictionary", "crosscoder", "--name", "refused", "--pairs", pairs)

        said = self.judge("compare", "--dictionaries", "topk,transcoder,crosscoder", "--name", "all")
        self.assertRegex(said, r"transcoder +sparsify/skip_transcoder +blocks.1.hook_resid_mid > blocks.1.hook_mlp_out +48")
        self.assertRegex(said, r"crosscoder +model_diff/crosscoder +blocks.0.hook_resid_post +48 .*\n"
                               r"crosscoder +model_diff/crosscoder +blocks.1.hook_resid_post +48 ")
        self.judge("compare", "--dictionaries", "topk,transcoder", "--name", "matched", "--match-l0", 3)
        with self.assertRaisesRegex(AssertionError, "--match-l0: crosscoder is a crosscoder over blocks.0"):
            self.judge("compare", "--dictionaries", "topk,crosscoder", "--name", "refused", "--match-l0", 3)

        to = self.home / "sparsify"
        lifescoped("export-sae", "--home", self.home, "--name", "transcoder", "--format", "sparsify", "--to", to)
        lifescoped("import-sae", "--home", self.home, "--name", "again", "--from", to, "--model", "demo", "--hook",
                   "blocks.1.hook_resid_mid", "--output-hook", "blocks.1.hook_mlp_out")
        for file in ("cfg.json", "sae_weights.safetensors"):
            trained, again = ((self.dictionary(name) / file).read_bytes() for name in ("transcoder", "again"))
            self.assertEqual(trained, again, file)
        with self.assertRaisesRegex(AssertionError, "saelens cannot hold a topk_skip_transcoder"):
            lifescoped("export-sae", "--home", self.home, "--name", "transcoder", "--format", "saelens", "--to",
                       self.home / "saelens")

    def test_a_crosscoder_over_two_models_is_judged_in_both(self):
        models = (self.home / "models").resolve()
        (self.home / "models").unlink()
        for name in ("demo", "twin"):
            shutil.copytree(models / "demo", self.home / "models" / name)
        (self.home / "two.textproto").write_text("""
            steps: 60 batch_rows: 256 buffer_rows: 4000
            dictionaries { name: "two" base: "model_diff/crosscoder" features: 32 normalisation: "sqrt_width"
                           reads: "blocks.1.hook_resid_post" reads: "twin:blocks.1.hook_resid_post" }""")
        lifescoped(*self.arguments("--recipe", self.home / "two.textproto"))
        said = self.judge("evaluate", "--dictionary", "two")
        self.assertIn("over blocks.1.hook_resid_post, twin:blocks.1.hook_resid_post of models demo, twin", said)
        card = self.card("two")
        self.assertEqual(card["other_models"][0]["name"], "twin")
        clean = [m["value"] for section in card["sections"] for m in section["metrics"]
                 if m["name"] == "cross_entropy_clean"]
        self.assertEqual(len(clean), 2)
        self.assertEqual(*clean, "the twin is the same model")
        shutil.rmtree(self.home / "models/twin")
        with self.assertRaisesRegex(AssertionError, "models/twin: no such folder"):
            self.judge("evaluate", "--dictionary", "two", "--name", "again")

    def test_shards_serve_as_a_model_does(self):
        lifescoped("collect-activations", "--home", self.home, "--model", "demo", "--corpus", "demo", "--name", "resid",
                   "--hook", "blocks.0.hook_resid_post", "--hook", "blocks.1.hook_resid_post", "--rows", 5000,
                   "--shard-rows", 2000)
        self.assertEqual(len(list((self.home / "activations/resid").glob("shard-*.safetensors"))), 3)
        said = lifescoped("train-sae", "--home", self.home, "--activations", "resid", "--name", "of-shards", "--features",
                          32, "--k", 4, "--steps", 40, "--batch", 256, "--set", 'matmul="bfloat16"')
        self.assertIn("epochs of 5000 rows", said)
        training = json.loads((self.dictionary("of-shards") / "training.json").read_text())
        self.assertEqual(training["origin"]["activations"], "resid")
        self.assertEqual(training["origin"]["corpus"], "demo")
        self.assertIn('matmul: "bfloat16"', training["recipe"])

    def test_what_a_recipe_does_not_have_is_refused_before_training(self):
        for more, message in ((["--set", "bandwidth=0.1"], "recipe 'dictionary_learning/topk' has no bandwidth"),
                              (["--base", "nobody/sae"], "no recipe 'nobody/sae'; there are bricken/standard"),
                              (["--set", "normalisation: \"x\""], "expected FIELD=VALUE"),
                              (["--set", 'matmul="half"'], "matmul is 'half', expected float32 or bfloat16"),
                              (["--k", 1000], "k is 1000, expected above 0 and at most feature_count, 512"),
                              (["--hook", "blocks.9.hook_resid_post"], "blocks.9.hook_resid_post")):
            with self.subTest(message), self.assertRaisesRegex(AssertionError, message.replace("(", r"\(")):
                lifescoped(*self.arguments("--name", "refused", *more))
            self.assertFalse(self.dictionary("refused").exists())

    def test_recipes_are_listed(self):
        listed = lifescoped("train-sae", "--list-recipes")
        self.assertIn("gemma_scope/jumprelu", listed)


if __name__ == "__main__":
    unittest.main()
