"""lifescoped import-sae and export-sae: a dictionary goes out in other programs' formats and comes back."""

import json
import pathlib
import shutil
import tempfile
import unittest

from lifescope import FEATURES, HOOK, home, lifescoped

SPEC = ("--model", "demo", "--hook", HOOK)


class ExchangeSaeTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lifescope-e2e-exchange-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.home = self.folder / "home"
        for kind in ("models", "dictionaries"):
            shutil.copytree(home() / kind, self.home / kind, ignore=shutil.ignore_patterns(".*"))
        self.weights = "dictionaries/{}/sae_weights.safetensors"

    def export(self, name, format_name):
        to = self.folder / f"{name}-{format_name}"
        return to, lifescoped("export-sae", "--home", self.home, "--name", name, "--format", format_name, "--to", to)

    def import_sae(self, name, source, *options):
        return lifescoped("import-sae", "--home", self.home, "--name", name, "--from", source, *options)

    def refusal(self, function, *arguments):
        with self.assertRaisesRegex(AssertionError, "ended with 1") as raised:
            function(*arguments)
        return str(raised.exception)

    def test_a_dictionary_comes_back_as_it_went(self):
        trained = (self.home / self.weights.format("demo-sae")).read_bytes()
        for format_name, options in (("saelens", ()), ("dictionary_learning", ()), ("sparsify", SPEC)):
            to, said = self.export("demo-sae", format_name)
            self.assertIn(f"{FEATURES} features, topk, {HOOK} of model demo", said)
            said = self.import_sae(f"from-{format_name}", to, *options)
            self.assertIn(f"{FEATURES} features, topk, {HOOK} of model demo; from {format_name} sha256:", said)
            self.assertEqual((self.home / self.weights.format(f"from-{format_name}")).read_bytes(), trained, format_name)

    def test_what_a_format_cannot_hold_is_said_and_not_written(self):
        for format_name in ("openai", "gemma_scope"):
            self.assertIn(f"{format_name} cannot hold", self.refusal(self.export, "demo-sae", format_name))
            self.assertFalse((self.folder / f"demo-sae-{format_name}").exists())

    def test_nothing_is_overwritten(self):
        self.export("demo-sae", "saelens")
        self.assertIn("exists", self.refusal(self.export, "demo-sae", "saelens"))
        to = self.folder / "demo-sae-saelens"
        self.assertIn("nothing is overwritten", self.refusal(self.import_sae, "demo-sae", to))

    def test_what_the_files_do_not_say_must_be_given_and_fit(self):
        to, _ = self.export("demo-sae", "sparsify")
        refusals = ((), "say which with --model"), (SPEC[:2], "say which with --hook"), (
            (*SPEC[:2], "--hook", "layers.1"), "layers.1"), (
            (*SPEC[:2], "--hook", "blocks.0.mlp.hook_post"), "reads vectors of 32, expected 64"), (
            (*SPEC, "--format", "openai"), "autoencoder.pt")
        for options, message in refusals:
            self.assertIn(message, self.refusal(self.import_sae, "again", to, *options))
        config = json.loads((to / "cfg.json").read_text())
        (to / "cfg.json").write_text(json.dumps({**config, "transcode": True}))
        self.assertIn("say which with --output-hook", self.refusal(self.import_sae, "again", to, *SPEC))
        self.assertFalse((self.home / "dictionaries/again").exists())
        said = self.import_sae("again", to, *SPEC, "--output-hook", "blocks.1.hook_mlp_out")
        self.assertIn(f"from {HOOK} to blocks.1.hook_mlp_out of model demo", said)

    def test_a_transcoder_of_equal_widths_must_say_what_it_predicts(self):
        to, _ = self.export("demo-sae", "saelens")
        config = json.loads((to / "cfg.json").read_text())
        del config["rescale_acts_by_decoder_norm"]
        config.update(architecture="topk_transcoder", d_out=config["d_in"], apply_b_dec_to_input=False)
        (to / "cfg.json").write_text(json.dumps(config))
        self.assertIn("say which with --output-hook", self.refusal(self.import_sae, "trans", to))
        said = self.import_sae("trans", to, "--output-hook", "blocks.1.hook_mlp_out")
        self.assertIn(f"from {HOOK} to blocks.1.hook_mlp_out of model demo", said)


if __name__ == "__main__":
    unittest.main()
