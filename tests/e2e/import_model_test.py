"""lifescoped import-model and import-head: what they make of good checkpoints and of bad ones."""

import json
import pathlib
import shutil
import struct
import tempfile
import unittest
import zipfile

from lifescope import home, lifescoped


def tensors_of(file):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    data = file.read_bytes()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:begin])
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"], data[slice(*(begin + at for at in entry["data_offsets"]))])
            for name, entry in header.items()}


def write_tensors(file, tensors):
    header, data = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)


class ImportModelTest(unittest.TestCase):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="lifescope-e2e-import-"))
        self.addCleanup(shutil.rmtree, self.home)
        self.demo = home() / "models" / "demo"

    def import_model(self, file, *options):
        return lifescoped("import-model", "--home", self.home, "--name", "again", file, "--vocabulary",
                          self.demo / "vocab.tsv", *options)

    def refusal(self, file, *options):
        """What the verb says when it fails; it leaves nothing behind."""
        with self.assertRaisesRegex(AssertionError, "ended with 1") as raised:
            self.import_model(file, *options)
        self.assertEqual(list((self.home / "models").iterdir()), [])
        return str(raised.exception)

    def test_a_model_is_the_same_after_its_weights_were_imported(self):
        said = self.import_model(self.demo / "model.safetensors", "--hparams", self.demo / "hparams.json")
        for part in ("safetensors", "self-check", "with the masked-token and sentence-order heads", "sha256:"):
            self.assertIn(part, said)
        for name in ("model.safetensors", "hparams.json", "vocab.tsv"):
            self.assertEqual((self.home / "models/again" / name).read_bytes(), (self.demo / name).read_bytes(), name)

    def test_what_no_tensor_shows_must_be_given(self):
        self.assertIn("n_local, local_window_size, max_length, hidden_act", self.refusal(self.demo / "model.safetensors"))
        self.import_model(self.demo / "model.safetensors", "--hparam", "n_local=2", "--hparam", "local_window_size=16",
                          "--hparam", "max_length=128", "--hparam", "hidden_act=swish")

    def test_a_fine_tuned_checkpoint_gives_a_model_and_its_head(self):
        head, file = home() / "heads" / "heart", self.home / "finetuned.safetensors"
        write_tensors(file, {**tensors_of(self.demo / "model.safetensors"), **tensors_of(head / "head.safetensors")})
        self.assertIn("import-head takes it", self.import_model(file, "--hparams", self.demo / "hparams.json"))
        said = lifescoped("import-head", "--home", self.home, "--name", "heart", "--model", "again", file, "--kind",
                          "attention", "--target", "ill", "--classes", "no,yes")
        self.assertIn("attention head over model again: ill (no, yes)", said)
        imported = self.home / "heads" / "heart"
        self.assertEqual((imported / "head.safetensors").read_bytes(), (head / "head.safetensors").read_bytes())
        self.assertEqual(json.loads((imported / "head.json").read_text())["targets"],
                         [{"name": "ill", "classes": ["no", "yes"]}])

    def test_a_pickle_that_calls_the_system_does_not(self):
        witness, file = self.home / "witness", self.home / "evil.ckpt"
        command = f"touch {witness}".encode()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("evil/data.pkl", b"\x80\x02cposix\nsystem\nC" + bytes([len(command)]) + command + b"\x85R.")
        self.assertIn("found a record of 'posix.system'", self.refusal(file))
        self.assertFalse(witness.exists())


if __name__ == "__main__":
    unittest.main()
