"""lifescoped fit-baseline: every kind is fitted, indexed and served as a dictionary is."""

import json
import re
import unittest

from lifescope import HOOK, PERSONS, Client, Server, home_of_its_own, lifescoped

KINDS = ("neurons", "signed-neurons", "random", "pca", "ica", "nmf", "sparse-coding")


class FitBaselineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = home_of_its_own(cls.addClassCleanup)

    def fit(self, kind, name, *options):
        return lifescoped("fit-baseline", "--home", self.home, "--kind", kind, "--model", "demo", "--corpus", "demo",
                          "--name", name, "--hook", HOOK, "--rows", 4000, *options)

    def config(self, name):
        return json.loads((self.home / "dictionaries" / name / "cfg.json").read_text())

    def test_every_kind_says_how_well_it_fits_at_the_l0_that_it_was_told(self):
        for kind in KINDS:
            said = self.fit(kind, kind, "--k", 4)
            with self.subTest(kind):
                fvu, l0 = map(float, re.search(r"FVU (\S+)  L0 (\S+) \(", said).groups())
                self.assertGreater(fvu, 0)
                self.assertLess(abs(l0 - 4), 0.5)
                self.assertIn(f"{kind}, ", said)
                self.assertIn("sha256:", said)
                self.assertEqual(self.config(kind)["metadata"]["hook_name"], HOOK)
                origin = json.loads((self.home / "dictionaries" / kind / "training.json").read_text())
                self.assertEqual((origin["method"], origin["settings"]["k"]), (kind, 4))
                self.assertRegex(origin["origin"]["corpus_digest"] + origin["origin"]["models"][0]["digest"],
                                 r"^sha256:\w+sha256:\w+$")

    def test_what_cannot_be_fitted_is_refused_and_leaves_nothing(self):
        for options, reason in ((("--k", 1000), "k is 1000, expected at most the number of features, 64"),
                                (("--k", 0, "--gradient-pursuit"), "gradient pursuit with k 0"),
                                (("--hook", "blocks.9.hook_resid_post"), "blocks.9.hook_resid_post")):
            with self.subTest(reason), self.assertRaisesRegex(AssertionError, re.escape(reason)):
                self.fit("pca", "refused", *options)
            self.assertFalse((self.home / "dictionaries/refused").exists())

    def test_a_dictionary_that_searches_is_indexed_and_served(self):
        self.fit("sparse-coding", "served", "--k", 4, "--features", 48)
        self.assertEqual(self.config("served")["architecture"], "sparse_coding")
        lifescoped("index", "--home", self.home, "--dictionary", "served", "--corpus", "demo")
        with Server(folder=self.home) as server:
            client = Client(server.address)
            feature = client.json("features", "--dictionary", "served", "--count", 1)["features"][0]["feature"]
            self.assertIn(f"over {PERSONS} persons", client.show("feature", feature, "--dictionary", "served"))
            (example,) = client.json("top", feature, "--dictionary", "served", "--count", 1)["examples"]
            common = ["ablate", "--dictionary", "served", "--person", example["personId"], "--features", feature]
            same = client.json(*common, "--kind", "scale", "--value", 1)["effects"][0]["positions"]
            self.assertTrue(all(position["kl"] == 0 for position in same))
            off = client.json(*common)["effects"][0]["positions"]
            self.assertGreater(max(position["kl"] for position in off), 0)


if __name__ == "__main__":
    unittest.main()
