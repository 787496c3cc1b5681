"""The verbs `coverage` and `concepts`: tables and files agree, and a dictionary compared with itself does not differ."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from lifescope import BIN, FEATURES, HOOK, clean_environment, home


class ConceptsTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lifescope-e2e-concepts-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_verb(self, verb, *arguments):
        command = [BIN / "lifescoped", verb, "--home", home(), "--corpus", "demo", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60)

    def measure(self, verb, *arguments):
        """What the verb printed, and the file that it wrote."""
        path = self.folder / "measured.json"
        done = self.run_verb(verb, *arguments, "--json", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, json.loads(path.read_text())

    def test_coverage_of_two_equal_dictionaries_does_not_differ(self):
        shown, measured = self.measure("coverage", "--dictionaries", "demo-sae,demo-sae", "--resamples", 50)
        self.assertRegex(shown, r"demo-sae +64 +\d\.\d\d +0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]")
        self.assertIn("+0.000 [+0.000, +0.000]", shown)
        first, second = measured["dictionaries"]
        self.assertEqual(first["figures"], second["figures"])
        self.assertEqual(first["hook_point"], HOOK)
        own = first["figures"][0]
        low, high = own["interval_95"]
        self.assertTrue(low <= own["value"] <= high)
        self.assertIn("F1", own["formula"])
        f1 = [concept["f1"] for concept in first["concepts"]]
        self.assertAlmostEqual(own["value"], sum(f1) / len(f1), places=12)
        for concept in first["concepts"]:
            if concept["feature"] is None:
                self.assertEqual((concept["f1"], concept["threshold"]), (0, None))
            else:
                self.assertTrue(0 <= concept["feature"] < FEATURES)
        self.assertGreaterEqual(first["left_out_count"], 0)

    def test_coverage_of_the_traits_that_were_asked_for(self):
        _, measured = self.measure("coverage", "--dictionaries", "demo-sae", "--traits", "person.sector,event.retired")
        traits = {concept["trait"] for concept in measured["dictionaries"][0]["concepts"]}
        self.assertEqual(traits, {"person.sector", "event.retired"})
        done = self.run_verb("coverage", "--dictionaries", "demo-sae", "--traits", "person.shoe_size")
        self.assertEqual(done.returncode, 1)
        self.assertIn("person.shoe_size", done.stderr)

    def test_probes_rules_and_absorption_are_shown_and_stored(self):
        shown, measured = self.measure("concepts", "--dictionary", "demo-sae", "--traits", "event.sector", "--k", "1,3",
                                       "--max-rows", 2000, "--field", "OCC_")
        for probe in measured["probes"]:
            self.assertIn(f"{probe['trait']} = {probe['value']}", shown)
            self.assertLessEqual(probe["probe_loss"]["loss"], probe["probe_loss"]["constant_loss"])
            self.assertEqual([len(sparse["features"]) for sparse in probe["sparse_probes"]], [1, 3])
            self.assertEqual([figure["name"] for figure in probe["figures"]],
                             ["probe_loss_1d_held_out", "sparse_probe_accuracy", "sparse_probe_accuracy",
                              "activation_probe_accuracy"])
        self.assertGreater(len(measured["rules"]), 0)
        for mean in measured["probe_means"][1:] + measured["rule_means"]:
            low, high = mean["interval_95"]
            self.assertTrue(low <= mean["value"] <= high, mean)
        self.assertNotRegex(shown, r"\bnan\b")
        self.assertIn("correlation", shown)
        for group in measured["absorption"]["groups"]:
            self.assertRegex(shown, rf"{group['group']} +{group['code_count']} ")
        done = self.run_verb("concepts", "--dictionary", "demo-sae", "--field", "SHOE_")
        self.assertEqual(done.returncode, 1)
        self.assertIn("SHOE_", done.stderr)


if __name__ == "__main__":
    unittest.main()
