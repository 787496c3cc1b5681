"""The verb `label`: the description in the documentation works on a synthetic world; faults are named with their place."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from lifescope import BIN, PERSONS, clean_environment, home

DOCUMENTATION = pathlib.Path(__file__).resolve().parents[2] / "docs" / "labels.md"


class LabelTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lifescope-e2e-labels-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.addCleanup(shutil.rmtree, home() / "labels", ignore_errors=True)

    def run_verb(self, verb, *arguments):
        command = [BIN / "lifescoped", verb, "--home", home(), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60)

    def label(self, description, **files):
        """Runs the verb with a description and files beside it."""
        for name, text in files.items():
            (self.folder / f"{name}.csv").write_text(text)
        path = self.folder / "labels.textproto"
        path.write_text(description)
        return self.run_verb("label", "--corpus", "demo", "--name", "concepts", "--description", path)

    def test_the_description_in_the_documentation_works(self):
        description = re.search(r"```textproto\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL).group(1)
        done = self.label(description)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, rf"illness +person +category +{PERSONS} +{PERSONS}  none \d+, cardiac \d+")
        self.assertRegex(done.stdout, rf"woman +person +boolean +{PERSONS} +{PERSONS}  \d+ true")
        self.assertRegex(done.stdout, r"income +event +number +\d+ +\d+  1 to 48, mean ")
        columns = json.loads((home() / "labels/concepts/labels.json").read_text())["columns"]
        self.assertEqual(len(columns), description.count("columns {"))
        self.assertIn('person_trait: "illness"', columns[0]["definition"])

    def test_values_come_from_a_file_beside_the_description(self):
        rows = "".join(f"{person},{person % 2}\n" for person in range(1, PERSONS + 11))
        done = self.label('columns { name: "odd" csv { file: "odd.csv" person_column: "ID" value_column: "ODD" '
                          'kind: KIND_BOOLEAN } }', odd="ID,ODD\n" + rows)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, rf"odd +person +boolean +{PERSONS} +{PERSONS}  {PERSONS // 2} true")
        self.assertIn(f"{PERSONS + 10} rows read, 0 bad, 10 of people or days", done.stderr)

    def test_faults_are_named_with_their_place(self):
        for description, fault in (
            ('columns { name: "a"\n  evnt { } }', 'labels.textproto:2:8'),
            ('columns { name: "a" event { } }', "columns[0].event is empty, expected all, any"),
            ('columns { name: "a" event { any { conditions { date { from: "2020-1-1" } } } } }',
             "columns[0].event.any.conditions[0].date.from is '2020-1-1', expected YYYY-MM-DD"),
            ('columns { name: "a" event { has { names: "NO_SUCH" } } }',
             "label column a: token 'NO_SUCH' is not in the vocabulary"),
            ('columns { name: "a" person_trait: "height" }', "no person trait 'height'; it has sector"),
            ('columns { name: "a" csv { file: "none.csv" person_column: "I" value_column: "V" kind: KIND_NUMBER } }',
             "none.csv: cannot be opened"),
            ("", "no columns"),
        ):
            with self.subTest(description):
                done = self.label(description)
                self.assertEqual(done.returncode, 1, done)
                self.assertIn(fault, done.stderr)
                self.assertFalse((home() / "labels/concepts").exists())

    def test_documents_are_imported_instead_of_tables(self):
        vocabulary = home() / "corpora/demo/vocab.tsv"
        both = self.run_verb("import", "--name", "x", "--tables", self.folder, "--documents", self.folder,
                             "--vocabulary", vocabulary)
        self.assertEqual(both.returncode, 2, both)
        self.assertIn("excludes", both.stderr)
        neither = self.run_verb("import", "--name", "x")
        self.assertEqual(neither.returncode, 1, neither)
        self.assertIn("--tables or --documents is required", neither.stderr)
        (self.folder / "train").mkdir()
        (self.folder / "train/0.hdf5").write_text("no HDF5")
        refused = self.run_verb("import", "--name", "x", "--documents", self.folder, "--vocabulary", vocabulary)
        self.assertEqual(refused.returncode, 1, refused)
        self.assertRegex(refused.stderr, r"train/0\.hdf5: (cannot be opened|data: this build reads no HDF5)")


if __name__ == "__main__":
    unittest.main()
