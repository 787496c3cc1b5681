"""Raw tables into a corpus: descriptions, what is said of bad rows, and kill -9."""

import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from lifescope import BIN, clean_environment, lifescoped

PERSONS = 3000
SEED = 7


def refusal(*arguments):
    """What a verb that must fail says on standard error."""
    done = subprocess.run([BIN / "lifescoped", *map(str, arguments)], capture_output=True, text=True,
                          env=clean_environment())
    assert done.returncode != 0, done.stdout
    return done.stderr


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class ImportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="lifescope-e2e-import-"))
        cls.addClassCleanup(shutil.rmtree, cls.home, ignore_errors=True)
        cls.tables = cls.home / "raw"
        lifescoped("synthesize", "--as-tables", cls.tables, "--persons", PERSONS, "--seed", SEED)

    def command(self, name, *more):
        return ["import", "--home", self.home, "--name", name, "--tables", self.tables, *more]

    def world(self, name, *more):
        return self.command(name, "--description", "synthetic-world", "--split-seed", SEED, *more)

    def corpus(self, name):
        return contents(self.home / "corpora" / name)

    def test_a_world_as_tables_is_the_same_world(self):
        said = lifescoped(*self.world("same"))
        self.assertRegex(said, rf"{PERSONS} persons .* 0 bad; \d+ unknown tokens")
        lifescoped("synthesize", "--home", self.home, "--name", "direct", "--persons", PERSONS, "--seed", SEED)
        imported, direct = self.corpus("same"), self.corpus("direct")
        for name in ("vocab.tsv", "token.i32", "abspos.i32", "age.i16", "event.i32", "split.u8", "person.i64"):
            self.assertEqual(imported[name], direct[name], name)

    def test_life2vec_light_is_the_default_and_can_be_edited(self):
        lifescoped(*self.command("light"))
        description = self.home / "my.textproto"
        description.write_text(lifescoped("import", "--describe", "life2vec-light"))
        lifescoped(*self.command("mine", "--description", description))
        self.assertEqual(self.corpus("light"), self.corpus("mine"))
        description.write_text(description.read_text().replace("min_persons: 2", "min_person: 2"))
        self.assertRegex(refusal(*self.command("typo", "--description", description)),
                         r'my.textproto:\d+:\d+: .*no field named "min_person"')

    def test_kill_9_loses_nothing(self):
        command = [BIN / "lifescoped", *map(str, self.world("killed", "--memory", 2))]
        work = self.home / "corpora" / ".killed.import"
        for sign in ("run-000003", "lives.records", "vocab.tsv"):
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env=clean_environment()) as process:
                deadline = time.monotonic() + 60
                while not (work / sign).exists():
                    self.assertIsNone(process.poll(), f"it ended before there was {sign}")
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.001)
                process.send_signal(signal.SIGKILL)
            self.assertFalse((self.home / "corpora" / "killed").exists())
        self.assertIn("holds an unfinished import with another max_length",
                      refusal(*self.world("killed", "--max-length", 99)))
        lifescoped(*self.world("killed"))
        self.assertFalse(work.exists())
        lifescoped(*self.world("whole"))
        self.assertEqual(self.corpus("killed"), self.corpus("whole"))

    def test_bad_rows_are_shown_and_too_many_stop_the_import(self):
        users = self.tables / "users.csv"
        before = users.read_text()
        self.addCleanup(users.write_text, before)
        users.write_text(before + "x,9999,yesterday,MALE\n")
        line = before.count("\n") + 1
        bad = f"users.csv:{line}: BIRTHDAY is 'yesterday', expected YYYY-MM-DD"
        self.assertIn(f"1 of {PERSONS + 1} rows are bad, expected at most a share of 0; the first: {bad}",
                      refusal(*self.world("strict", "--max-bad-rows", 0)))
        lifescoped(*self.world("tolerant"))
        self.assertIn(bad, self.corpus("tolerant")["import.json"].decode())


if __name__ == "__main__":
    unittest.main()
