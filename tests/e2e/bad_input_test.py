"""Bad input: an error that names the thing, what was found and what was expected; the server keeps serving and stores
nothing of it."""

import shutil
import struct
import subprocess
import unittest

from lifescope import BIN, FEATURES, HOOK, Client, Server, ServedTest, clean_environment, home

USAGE, REFUSED, UNREACHABLE = 2, 1, 3


class BadRequestTest(ServedTest):
    def setUp(self):
        super().setUp()
        feature = self.client.json("features", "--count", 1)["features"][0]["feature"]
        self.person = self.client.json("top", feature, "--count", 1)["examples"][0]["personId"]
        self.runs = self.client.run_ids()

    def tearDown(self):
        self.assertIsNone(self.server.process.poll(), "the server keeps serving")
        self.assertEqual(self.client.run_ids(), self.runs, "nothing of a refused call is stored")

    def refused(self, code, *arguments, names):
        answer = self.client.ask(*arguments)
        self.assertEqual(answer.code, code, answer)
        self.assertEqual(answer.out, "")
        for name in names:
            self.assertIn(str(name), answer.err)
        self.assertIn("next: ", answer.err)

    def plan(self, **changes):
        return self.file("plan.json", {"documents": [{"person": {"person_id": self.person}}],
                                       "reads": [{"kl_to_clean": {}}], **changes})

    def test_a_token_id_outside_the_vocabulary(self):
        slots = {"tokens": [1, 99999], "abspos": [0, 0], "ages": [0, 0], "segments": [1, 1]}
        path = self.file("slots.json", {"slots": slots})
        self.refused(REFUSED, "encode", "--life", path, names=["tokens[1]", 99999])

    def test_an_unknown_token_name(self):
        life = {"background": ["NO_SUCH_TOKEN"], "events": []}
        path = self.file("life.json", life)
        self.refused(REFUSED, "encode", "--life", path, names=["background[0]", "NO_SUCH_TOKEN"])

    def test_a_document_longer_than_n_slots(self):
        self.refused(REFUSED, "encode", "--person", self.person, "--n-slots", 5, names=["n_slots", 5])

    def test_an_empty_document(self):
        self.refused(REFUSED, "encode", "--life", self.file("empty.json", {"slots": {}}), names=["slots.tokens"])

    def test_an_unknown_hook_point(self):
        reads = [{"activation": {"hook_point": "blocks.9.hook_resid_post"}}]
        self.refused(REFUSED, "run", self.plan(reads=reads), names=["blocks.9.hook_resid_post"])

    def test_a_feature_out_of_range(self):
        self.refused(REFUSED, "ablate", "--person", self.person, "--features", 99999, names=[99999, FEATURES])
        self.refused(REFUSED, "feature", 99999, names=[99999, FEATURES])
        self.refused(REFUSED, "top", 99999, names=[99999, FEATURES])

    def test_a_position_outside_the_document(self):
        self.refused(REFUSED, "encode", "--person", self.person, "--at", 5000, names=[5000])
        self.refused(REFUSED, "encode", "--person", self.person, "--mask", 5000, names=["mask_positions[0]", 5000])

    def test_a_value_that_is_not_finite(self):
        for value in ("nan", "inf"):
            self.refused(REFUSED, "ablate", "--person", self.person, "--features", 1, "--kind", "set", "--value", value,
                         names=["value"])
        edits = [{"activation": {"hook_point": HOOK}, "scale": {"factor": "NaN"}}]
        self.refused(REFUSED, "run", self.plan(interventions=[{"edits": edits}]), names=["interventions[0].edits[0]"])

    def test_a_message_over_the_limit(self):
        self.refused(REFUSED, "encode", "--person", "1-30", "--mask", "0-999999",
                     names=["RESOURCE_EXHAUSTED", "larger"])

    def test_names_of_nothing(self):
        self.refused(REFUSED, "encode", "--person", 10**15, names=["NOT_FOUND", 10**15])
        self.refused(REFUSED, "encode", "--person", self.person, "--model", "nosuch", names=["NOT_FOUND", "nosuch"])
        self.refused(REFUSED, "encode", "--person", self.person, "--corpus", "nosuch", names=["NOT_FOUND", "nosuch"])
        self.refused(REFUSED, "runs", "00000000-0000-4000-8000-000000000000", names=["NOT_FOUND"])

    def test_an_unknown_field_in_a_plan(self):
        reads = [{"activation": {"hook_pont": HOOK}}]
        self.refused(USAGE, "run", self.plan(reads=reads), names=["reads[0].activation", "hook_pont", "hook_point"])

    def test_a_plan_that_is_not_json(self):
        self.refused(USAGE, "run", self.file("plan.json", "{]"), names=["plan.json", "line 1"])

    def test_no_server(self):
        with Server(store=f"sqlite:{self.folder}/other.db") as server:
            address = server.address
        answer = Client(address).ask("status")
        self.assertEqual(answer.code, UNREACHABLE, answer)
        self.assertIn("lifescoped serve", answer.err)


class NoTextTest(unittest.TestCase):
    """A server that gives no text still answers, in positions."""

    def test_text_is_refused_and_numbers_are_not(self):
        with Server(options=["--no-text"]) as server:
            client = Client(server.address)
            example = client.json("top", 0, "--count", 1)["examples"][0]
            self.assertNotIn("text", example)
            refused = client.ask("document", "--person", example["personId"])
            self.assertEqual(refused.code, REFUSED, refused)
            self.assertIn("PERMISSION_DENIED", refused.err)
            encoded = client.ask("encode", "--person", example["personId"])
            self.assertEqual(encoded.code, 0, encoded)
            self.assertIn("positions only", encoded.err)
            self.assertNotIn("[CLS]", encoded.out)


class BadArtifactTest(unittest.TestCase):
    """A home with a broken file is not served."""

    def broken(self, file, change):
        folder = home().parent / (home().name + "-broken")
        shutil.copytree(home(), folder)
        self.addCleanup(shutil.rmtree, folder)
        path = folder / file
        change(path)
        done = subprocess.run([BIN / "lifescoped", "serve", "--home", folder, "--listen", "127.0.0.1:0"],
                              capture_output=True, text=True, env=clean_environment(), timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    def test_a_missing_weights_file(self):
        self.assertIn("model.safetensors", self.broken("models/demo/model.safetensors", lambda path: path.unlink()))

    def test_a_truncated_weights_file(self):
        def truncate(path):
            path.write_bytes(path.read_bytes()[:-100])

        self.assertIn("model.safetensors", self.broken("models/demo/model.safetensors", truncate))

    def test_a_weight_that_is_not_a_number(self):
        def spoil(path):
            data = bytearray(path.read_bytes())
            data[-4:] = struct.pack("<f", float("nan"))
            path.write_bytes(data)

        self.assertIn("sae_weights.safetensors", self.broken("dictionaries/demo-sae/sae_weights.safetensors", spoil))

    def test_a_wrong_shape(self):
        def shrink(path):
            # Same bytes, other sizes: [64, 32] becomes [32, 64].
            data = path.read_bytes()
            path.write_bytes(data.replace(b"[64,32]", b"[32,64]").replace(b"[64, 32]", b"[32, 64]"))

        self.assertIn("sae_weights.safetensors", self.broken("dictionaries/demo-sae/sae_weights.safetensors", shrink))


if __name__ == "__main__":
    unittest.main()
