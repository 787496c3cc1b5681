"""Every verb of the client against a real server: what it prints, and that the numbers agree with each other."""

import os
import pty
import re
import subprocess
import unittest

import wire
from lifescope import BIN, FEATURES, HOOK, PERSONS, Client, ServedTest

RUN_ID = re.compile(r"run ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class CatalogTest(ServedTest):
    def test_status_names_what_the_server_holds(self):
        shown = self.client.show("status")
        for part in ("demo-sae", "heart", "sqlite", "cpu"):
            self.assertIn(part, shown)
        self.assertGreater(self.client.json("status")["maxForwardsPerRun"], 0)

    def test_lists_agree_with_what_was_built(self):
        (corpus,) = self.client.json("corpora")["corpora"]
        self.assertEqual(int(corpus["personCount"]), PERSONS)
        (dictionary,) = self.client.json("dictionaries")["dictionaries"]
        self.assertEqual(dictionary["featureCount"], FEATURES)
        self.assertEqual(dictionary["hookPoint"], HOOK)
        (model,) = self.client.json("models")["models"]
        self.assertEqual(model["layerCount"], 2)
        self.assertIn(dictionary["digest"][:19], self.client.show("dictionaries"))

    def test_a_model_shows_its_hook_points_and_those_of_its_heads(self):
        shown = self.client.show("models", "demo")
        self.assertRegex(shown, re.escape(HOOK) + r"\s+\[32\]\s+yes")
        self.assertRegex(shown, r"heads\.heart\.hook_person_summary\s+\[32\]\s+yes")

    def test_a_head_says_what_it_predicts_over_which_model(self):
        (head,) = self.client.json("heads")["heads"]
        (model,) = self.client.json("models")["models"]
        self.assertEqual(head["modelDigest"], model["digest"])
        self.assertEqual(head["targets"], [{"name": "trait:illness=none", "classes": ["not none", "none"]}])
        self.assertRegex(self.client.show("heads"), r"heart +demo +attention +trait:illness=none +not none, none")


class FeaturesTest(ServedTest):
    def strongest(self):
        return self.client.json("features", "--count", 1)["features"][0]

    def test_features_are_listed_strongest_first_to_the_last(self):
        features = self.client.json("features", "--count", 10000)["features"]
        self.assertEqual(sorted(feature["feature"] for feature in features), list(range(FEATURES)))
        activations = [feature["maxActivation"] for feature in features]
        self.assertEqual(activations, sorted(activations, reverse=True))
        self.assertIn(f"#{features[0]['feature']} ", self.client.show("features"))

    def test_the_index_and_encode_give_the_same_activation(self):
        feature = self.strongest()["feature"]
        for example in self.client.json("top", feature, "--count", 3)["examples"]:
            encoded = self.client.json("encode", "--person", example["personId"], "--at", example["position"])
            (row,) = wire.sparse(encoded["features"][0]).values()
            self.assertAlmostEqual(row[feature], example["activation"], delta=1e-4 * example["activation"])

    def test_a_feature_is_shown_with_its_examples_in_words(self):
        feature = self.strongest()
        shown = self.client.show("feature", feature["feature"], "--count", 2)
        self.assertIn(f"feature {feature['feature']}  over {PERSONS} persons", shown)
        self.assertRegex(shown, r"«[A-Z\[]")
        self.assertIn("▸", shown)
        self.assertEqual(sum(map(int, feature["histogram"])), int(feature["activeTokenCount"]))

    def test_top_examples_are_ordered_one_per_person(self):
        examples = self.client.json("top", self.strongest()["feature"], "--count", 50, "--no-text")["examples"]
        activations = [example["activation"] for example in examples]
        self.assertEqual(activations, sorted(activations, reverse=True))
        persons = [example["personId"] for example in examples]
        self.assertEqual(len(set(persons)), len(persons))
        self.assertNotIn("text", examples[0])


class LifeTest(ServedTest):
    """A person who is known to exist, with the life's text."""

    def setUp(self):
        super().setUp()
        feature = self.client.json("features", "--count", 1)["features"][0]["feature"]
        # Not a life that was cut to the longest document: its events count from the one that was cut.
        for example in self.client.json("top", feature, "--count", 20)["examples"]:
            self.person, self.feature, self.position = example["personId"], feature, example["position"]
            self.text = self.client.json("document", "--person", self.person)
            if len(self.text["tokens"]) < 120:
                break

    def first_content(self):
        """Position of the first token of the first event."""
        return self.text["events"].index(1)

    def inline(self, **changes):
        """The life as a file of dated events; `changes` are tokens by position."""
        tokens = [changes.get(f"at_{position}", token) for position, token in enumerate(self.text["tokens"])]
        life = {"background": [], "events": []}
        for position, token in enumerate(tokens):
            number = self.text["events"][position]
            if token in ("[CLS]", "[SEP]"):
                continue
            if number == 0:
                life["background"].append(token)
                continue
            if len(life["events"]) < number:
                life["events"].append({"abspos": self.text["abspos"][position], "age": self.text["ages"][position],
                                       "tokens": []})
            life["events"][-1]["tokens"].append(token)
        return life

    def other_token(self, token):
        """Another token that the life has in an event."""
        return next(other for other in self.text["tokens"][self.first_content():]
                    if other != token and not other.startswith("["))

    def test_document_shows_the_life_by_event_and_by_position(self):
        shown = self.client.show("document", "--person", self.person)
        self.assertIn(self.text["eventDates"][1], shown)
        by_position = self.client.show("document", "--person", self.person, "--by-position")
        self.assertEqual(len(by_position.splitlines()), len(self.text["tokens"]) + 2)

    def test_encode_prints_the_life_and_its_features(self):
        shown = self.client.show("encode", "--person", self.person)
        self.assertIn(self.text["tokens"][1], shown)
        self.assertIn(self.text["eventDates"][1], shown)
        self.assertRegex(shown, rf"#{self.feature} +\d.*█")
        self.assertRegex(shown, RUN_ID)

    def test_an_inline_life_gives_the_features_of_the_person(self):
        life = self.file("life.json", self.inline())
        ours = self.client.json("encode", "--life", life)["features"][0]
        theirs = self.client.json("encode", "--person", self.person)["features"][0]
        ours, theirs = wire.sparse(ours), wire.sparse(theirs)
        self.assertEqual(ours.keys(), theirs.keys())
        for position, row in ours.items():
            for feature, value in row.items():
                self.assertAlmostEqual(value, theirs[position].get(feature, 0.0), delta=1e-3)
        self.assertIn(self.text["eventDates"][1], self.client.show("encode", "--life", life))

    def test_scaling_a_feature_by_one_changes_nothing_and_zero_something(self):
        common = ["ablate", "--person", self.person, "--features", self.feature]
        same = self.client.json(*common, "--kind", "scale", "--value", 1)["effects"][0]["positions"]
        self.assertEqual(len(same), len(self.text["tokens"]))
        self.assertTrue(all(position["kl"] == 0 for position in same))
        off = self.client.json(*common)["effects"][0]["positions"]
        self.assertGreater(max(position["kl"] for position in off), 0)

    def test_ablate_prints_tokens_before_and_after(self):
        mask = self.first_content()
        shown = self.client.show("ablate", "--person", self.person, "--mask", mask, "--features",
                                 f"{self.feature},{(self.feature + 1) % FEATURES}", "--each", "--kind", "set", "--value",
                                 4)
        self.assertIn(f"«[MASK={self.text['tokens'][mask]}]»", shown)
        self.assertRegex(shown, r"% +→ +\S+ % +[▲▼] ×")

    def test_a_head_is_read_clean_and_under_an_edit_of_its_person_summary(self):
        others = [example["personId"] for example in self.client.json("top", self.feature, "--count", 2)["examples"]]
        plan = self.file("plan.json", {
            "documents": [{"person": {"person_id": person}} for person in others],
            "interventions": [{"name": "swapped", "edits": [
                {"activation": {"hook_point": "heads.heart.hook_person_summary"}, "donor": {"document": 1},
                 "documents": [0]}]}],
            "reads": [{"name": "risk", "class_probability": {"head": "heart"}}]})
        result = self.client.json("run", plan)
        clean = [wire.tensor(document["values"][0]["tensor"]) for document in result["result"]["clean"]]
        (swapped,) = result["result"]["interventions"][0]["documents"]
        self.assertAlmostEqual(sum(clean[0]), 1, delta=1e-5)
        for ours, theirs in zip(wire.tensor(swapped["values"][0]["tensor"]), clean[1]):
            self.assertAlmostEqual(ours, theirs, delta=1e-5)
        self.assertEqual(len(result["provenance"]["headDigests"]), 1)

    def test_ablate_says_what_a_head_says(self):
        common = ["ablate", "--person", self.person, "--features", self.feature]
        (effect,) = self.client.json(*common, "--head", "heart")["effects"]
        self.assertEqual([entry["className"] for entry in effect["classes"]], ["not none", "none"])
        self.assertNotEqual(effect["classes"][0]["cleanProbability"], effect["classes"][0]["ablatedProbability"])
        self.assertRegex(self.client.show(*common, "--head", "heart"), r"trait:illness=none +none +\S+ % +→ +\S+ %")
        refused = self.client.ask(*common, "--head", "lungs")
        self.assertEqual(refused.code, 1, refused)
        self.assertIn("no head 'lungs'; there are: heart", refused.err)

    def test_patching_the_whole_input_restores_the_clean_answer(self):
        at = self.first_content()
        token = self.text["tokens"][at]
        other = self.other_token(token)
        clean = self.file("clean.json", self.inline())
        corrupted = self.file("corrupted.json", self.inline(**{f"at_{at}": other}))
        common = ["patch", "--clean-life", clean, "--corrupted-life", corrupted, "--metric-at", at, "--tokens",
                  f"{token},{other}", "--hook", "blocks.0.hook_resid_pre", "--head", "1.1", "--features", self.feature]
        for direction, expected in (("denoise", 1), ("noise", 0)):
            patched = self.client.json(*common, "--direction", direction)
            self.assertAlmostEqual(patched["effects"][0]["normalized"], expected, delta=1e-3)
            self.assertEqual(len(patched["effects"]), 3)
        self.assertRegex(self.client.show(*common), r"blocks\.0\.hook_resid_pre +all +\S+ +1\.00 +█{20}")

    def test_a_plan_gives_dense_results_in_a_file(self):
        plan = self.file("plan.json", {
            "documents": [{"person": {"person_id": self.person}}],
            "interventions": [{"name": "off", "edits": [{"features": {"features": [self.feature]}, "zero": {}}]}],
            "reads": [{"name": "resid", "activation": {"hook_point": HOOK}}, {"name": "kl", "kl_to_clean": {}},
                      {"features": {}}]})
        out = self.folder / "out.safetensors"
        shown = self.client.show("run", plan, "--out", out)
        tensors, metadata = wire.read_safetensors(out)
        length = len(self.text["tokens"])
        self.assertEqual(metadata["run_id"], RUN_ID.search(shown).group(1))
        self.assertEqual(tensors["clean/0/resid"][0], [length, 32])
        self.assertEqual(tensors["clean/0/kl"], ([length], [0.0] * length))
        self.assertGreater(max(tensors["off/0/kl"][1]), 0)
        self.assertIn("off/0/read2/values", tensors)
        self.assertIn("off", shown)

    def test_a_request_id_is_answered_once(self):
        plan = {"documents": [{"person": {"person_id": self.person}}], "reads": [{"kl_to_clean": {}}]}
        path = self.file("plan.json", plan)
        first = self.client.json("run", path, "--request-id", "once")
        self.assertEqual(self.client.json("run", path, "--request-id", "once"), first)
        other = Client(self.server.address, user="grace").json("run", path, "--request-id", "once")
        self.assertNotEqual(other["runId"], first["runId"])
        another = self.file("other.json", {**plan, "deterministic": True})
        refused = self.client.ask("run", another, "--request-id", "once")
        self.assertEqual(refused.code, 1, refused)
        self.assertIn("ALREADY_EXISTS", refused.err)

    def test_every_answer_is_stored_and_shown_again(self):
        encoded = self.client.json("encode", "--person", self.person)
        stored = self.client.json("runs", encoded["runId"])
        self.assertEqual(stored["encodeResponse"], encoded)
        self.assertEqual(stored["summary"]["provenance"]["principal"], "ada")
        self.assertIn(f"#{self.feature} ", self.client.show("runs", encoded["runId"]))
        self.assertRegex(self.client.show("runs"), rf"{encoded['runId']} .* encode .* ada ")
        kinds = {run["kind"] for run in self.client.json("runs", "--kind", "encode", "--count", 1000)["runs"]}
        self.assertEqual(kinds, {"RUN_KIND_ENCODE"})


class TerminalTest(ServedTest):
    def shown_on_terminal(self, **environment):
        master, slave = pty.openpty()
        done = subprocess.run([BIN / "lifescope", "features", "--count", "3"], stdout=slave, stderr=subprocess.PIPE,
                              env={**self.client.environment, "TERM": "xterm", **environment})
        os.close(slave)
        shown = os.read(master, 65536).decode()
        os.close(master)
        self.assertEqual(done.returncode, 0, done.stderr)
        return shown

    def test_colours_are_for_terminals_that_want_them(self):
        self.assertIn("\033[", self.shown_on_terminal())
        self.assertNotIn("\033[", self.shown_on_terminal(NO_COLOR="1"))
        self.assertNotIn("\033[", self.client.show("features", "--count", 3))


if __name__ == "__main__":
    unittest.main()
