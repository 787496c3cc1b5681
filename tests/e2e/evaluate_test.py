"""The verbs `evaluate`, `compare` and `metrics` on a small synthetic world."""

import json
import pathlib
import re
import shutil
import subprocess
import unittest

from lifescope import BIN, FEATURES, HOOK, clean_environment, home_of_its_own, lifescoped

DOCUMENTATION = pathlib.Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
FEW = ["--resamples", 50, "--max-persons", 12]


def values(card):
    return {metric["name"]: metric["value"] for section in card["sections"] for metric in section["metrics"]}


class EvaluateTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = home_of_its_own(cls.addClassCleanup, "dictionaries")

    def setUp(self):
        for folder in ("cards", "comparisons"):
            self.addCleanup(shutil.rmtree, self.home / folder, ignore_errors=True)

    def other_dictionary(self):
        """The dictionary of the home trained once more with twice the active features."""
        if not (self.home / "dictionaries/demo-sae-16").exists():
            lifescoped("train-sae", "--home", self.home, "--model", "demo", "--corpus", "demo", "--name", "demo-sae-16",
                       "--hook", HOOK, "--features", FEATURES, "--k", 16, "--steps", 60)
        return "demo-sae-16"

    def run_verb(self, verb, *arguments):
        command = [BIN / "lifescoped", verb, "--home", self.home, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=120)

    def evaluate(self, *arguments):
        done = self.run_verb("evaluate", "--dictionary", "demo-sae", "--corpus", "demo", *FEW, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_a_card_is_printed_and_stored_with_its_definitions(self):
        shown = self.evaluate("--by", "category")
        folder = self.home / "cards" / "demo-sae-demo-validation"
        card = json.loads((folder / "card.json").read_text())
        found = values(card)
        for name in ("l0", "fvu", "loss_recovered_zero", "kl_spliced", "alive_fraction"):
            self.assertRegex(shown, rf"\n  {name} +{found[name]:.5g}\b")
        self.assertLessEqual(found["l0"], 8)
        self.assertAlmostEqual(found["fvu"] + found["explained_variance"], 1)
        gap = found["cross_entropy_zero_ablated"] - found["cross_entropy_clean"]
        recovered = (found["cross_entropy_zero_ablated"] - found["cross_entropy_spliced"]) / gap
        self.assertAlmostEqual(found["loss_recovered_zero"], recovered)
        for section in card["sections"]:
            for metric in section["metrics"]:
                self.assertTrue(metric["formula"] and metric["version"] >= 1, metric)
        self.assertEqual(sum(card["log10_densities"]["feature_counts"]), FEATURES)
        self.assertEqual(sum(group["row_count"] for group in card["subgroups"]), card["row_count"])
        self.assertEqual(card["person_count"], 12)
        self.assertRegex(shown, r"-10 \|.*[▁▂▃▄▅▆▇█].*\| 0")
        self.assertTrue((folder / "densities.svg").read_text().startswith("<svg"))

    def test_the_same_card_twice_is_the_same_and_never_overwritten(self):
        self.evaluate("--name", "one")
        self.evaluate("--name", "two")
        one, two = ((self.home / "cards" / name / "card.json").read_text() for name in ("one", "two"))
        self.assertEqual(one, two)
        again = self.run_verb("evaluate", "--dictionary", "demo-sae", "--corpus", "demo", *FEW, "--name", "one")
        self.assertEqual(again.returncode, 1)
        self.assertIn("nothing is overwritten", again.stderr)

    def test_a_card_has_concepts_hierarchies_and_geometry_or_says_why_not(self):
        pairs = self.home / "pairs.csv"
        pairs.write_text("relation,first,second\n" + "".join(f"{i % 2},{2 * i},{2 * i + 1}\n" for i in range(12)))
        shown = self.evaluate("--name", "full", "--pairs", pairs, "--fields", "OCC_,SHOE_")
        folder = self.home / "cards" / "full"
        card = json.loads((folder / "card.json").read_text())
        sections = {section["title"].split(":")[0].split(" of")[0]: section for section in card["sections"]}
        probes = {metric["name"]: metric for metric in sections["labels or traits"]["metrics"]}
        self.assertNotIn("interval_95", probes["probe_loss_1d"])
        for name in ("probe_loss_1d_held_out", "sparse_probe_accuracy", "activation_probe_accuracy"):
            low, high = probes[name]["interval_95"]
            self.assertTrue(low <= probes[name]["value"] <= high, probes[name])
        self.assertIn("SHOE_", sections["code hierarchies"]["note"])
        geometry = {metric["name"]: metric["value"] for metric in sections["geometry"]["metrics"]}
        self.assertTrue(0 < geometry["capacity"] <= 1)
        self.assertLess(geometry["spectrum_slope"], 0)
        self.assertTrue(-1 <= geometry["parallelogram_silhouette"] <= 1)
        self.assertIn("parallelogram_silhouette_discriminant", shown)
        self.assertTrue((folder / "spectrum.svg").read_text().startswith("<svg"))
        self.assertNotRegex(shown, r"\bnan\b")

    def test_pairs_that_are_none_are_refused(self):
        pairs = self.home / "pairs.csv"
        for rows, message in (("a,0,1\na,2,-3\nb,4,5\n", "line 3: '-3', expected the number of a feature, 0 to "),
                              ("a,0,1\na,2,3\n", "1 relations of 2 pairs, expected at least 2"),
                              ("a,0,1\nb,2,3\n", "2 relations of 2 pairs, expected at least 2 and fewer")):
            pairs.write_text("relation,first,second\n" + rows)
            done = self.run_verb("evaluate", "--dictionary", "demo-sae", "--corpus", "demo", *FEW, "--name", "bad-pairs", "--pairs",
                                 pairs)
            self.assertEqual(done.returncode, 1)
            self.assertIn(message, done.stderr)
            self.assertFalse((self.home / "cards/bad-pairs").exists())

    def test_one_person_gives_no_interval(self):
        done = self.run_verb("evaluate", "--dictionary", "demo-sae", "--corpus", "demo", "--max-persons", 1, "--name", "one-person",
                             "--concept-rows", 0)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"\n  fvu +\S+  of one person: no interval")
        self.assertNotIn("labels or traits", done.stdout)

    def test_positions_are_an_explicit_choice(self):
        def rows(name, *arguments):
            self.evaluate("--name", name, *arguments)
            return json.loads((self.home / "cards" / name / "card.json").read_text())["row_count"]

        events = rows("events")
        self.assertGreater(rows("prefix", "--with-prefix"), events)
        self.assertLess(rows("content", "--skip-separators"), events)

    def test_dictionaries_are_compared_by_l0(self):
        done = self.run_verb("compare", "--dictionaries", self.other_dictionary() + ",demo-sae", "--corpus", "demo", *FEW,
                             "--name", "by-k")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertTrue(lines[1].startswith("demo-sae "), "the sparser one comes first")
        self.assertTrue(lines[2].startswith("demo-sae-16 "))
        folder = self.home / "comparisons" / "by-k"
        comparison = json.loads((folder / "comparison.json").read_text())
        sparse, dense = map(values, comparison["cards"])
        self.assertLess(sparse["l0"], dense["l0"])
        (likeness,) = comparison["likeness"]
        self.assertEqual((comparison["likeness_to"], likeness["dictionary"]), ("demo-sae-16", "demo-sae"))
        for metric in likeness["metrics"]:
            self.assertTrue(-1 <= metric["value"] <= 1, metric)
        self.assertRegex(done.stdout, r"\ndemo-sae +0\.\d{3} ")
        self.assertEqual({card["kind"] for card in comparison["cards"]}, {"dictionary_learning/topk"})
        for plot in ("fvu", "loss_recovered", "densities"):
            self.assertRegex((folder / f"{plot}.svg").read_text(), r"^<svg(.|\n)*demo-sae-16(.|\n)*</svg>\n$")

    def test_a_threshold_matches_l0_when_asked(self):
        done = self.run_verb("compare", "--dictionaries", self.other_dictionary() + ",demo-sae", "--corpus", "demo", *FEW,
                             "--name", "at-five", "--match-l0", 5)
        self.assertEqual(done.returncode, 0, done.stderr)
        cards = json.loads((self.home / "comparisons" / "at-five" / "comparison.json").read_text())["cards"]
        for card in cards:
            self.assertAlmostEqual(values(card)["l0"], 5, delta=0.01)
            self.assertGreater(card["threshold"], 0)
        self.assertIn("not trained with: ", done.stdout)

    def test_faults_are_named(self):
        unknown = self.run_verb("evaluate", "--dictionary", "nobody", "--corpus", "demo")
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("demo-sae", unknown.stderr)
        wrong = self.run_verb("compare", "--dictionaries", "demo-sae", "--corpus", "demo", "--split", "all", "--name", "x")
        self.assertEqual(wrong.returncode, 2)

    def test_the_definitions_are_the_documentation(self):
        shown = lifescoped("metrics")
        self.assertEqual(shown, DOCUMENTATION.read_text())
        self.assertTrue(re.search(r"\| `loss_recovered_zero` \| 1 \|", shown))


if __name__ == "__main__":
    unittest.main()
