"""The two binaries of lifescope, a small home for them, and servers that tests start and stop."""

import atexit
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import uuid

BIN = pathlib.Path(os.environ.get("LIFESCOPE_BIN_DIR", "build/dev/bin"))
PERSONS = 200
FEATURES = 64
HOOK = "blocks.1.hook_resid_post"
START_SECONDS = 60


def clean_environment(**changes):
    """Ours without what would steer the binaries; one compute thread, so that tests may run beside each other."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LIFESCOPE_")}
    environment.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE", USER="ada", **changes)
    return environment


def lifescoped(*arguments):
    """A batch verb of the server; its output, or an error with what it said."""
    command = [BIN / "lifescoped", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@functools.cache
def home():
    """A world of 200 persons with a model, a dictionary and its index, and a head; made once per process."""
    folder = tempfile.mkdtemp(prefix="lifescope-e2e-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    at = ["--home", folder]
    lifescoped("synthesize", *at, "--name", "demo", "--persons", PERSONS, "--seed", 7, "--max-length", 128)
    lifescoped("pretrain", *at, "--corpus", "demo", "--name", "demo", "--steps", 40, "--batch", 16, "--hidden", 32,
               "--ff", 64, "--layers", 2, "--heads", 4, "--local-heads", 2)
    lifescoped("train-sae", *at, "--model", "demo", "--corpus", "demo", "--name", "demo-sae", "--hook", HOOK,
               "--features", FEATURES, "--k", 8, "--steps", 60)
    lifescoped("finetune", *at, "--model", "demo", "--corpus", "demo", "--name", "heart", "--target",
               "trait:illness=none", "--freeze-trunk", "--epochs", 2, "--resamples", 20)
    lifescoped("index", *at, "--dictionary", "demo-sae", "--corpus", "demo")
    return pathlib.Path(folder)


def home_of_its_own(add_cleanup, *copied):
    """A home with the model and corpus of home() and copies of its other artefacts, for tests that make more of them."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lifescope-e2e-own-"))
    add_cleanup(shutil.rmtree, folder)
    for kind in ("models", "corpora"):
        (folder / kind).symlink_to(home() / kind)
    for kind in copied:
        shutil.copytree(home() / kind, folder / kind, ignore=shutil.ignore_patterns(".*"))
    return folder


class Server:
    """`lifescoped serve` on a free port, ready when the constructor returns."""

    def __init__(self, store=None, options=(), folder=None):
        handle, self.log_path = tempfile.mkstemp(prefix="lifescope-e2e-log-")
        command = [BIN / "lifescoped", "serve", "--home", folder or home(), "--listen", "127.0.0.1:0", *options]
        if store:
            command += ["--store", store]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=handle, env=clean_environment())
        os.close(handle)
        self.address = self.wait_for_log(r" ready .*?address=(\S+)").group(1)

    def wait_for_log(self, pattern):
        """The match of a pattern in the log, once it is there; an error if the process ends before."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            running = self.process.poll() is None
            found = re.search(pattern, self.log())
            if found:
                return found
            if not running:
                break
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the server did not say {pattern}:\n{self.log()}")

    def log(self):
        return pathlib.Path(self.log_path).read_text()

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def terminate(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        os.unlink(self.log_path)


class Answer:
    """What `lifescope` gave: code, out, err."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def __repr__(self):
        return f"exit code {self.code}\n{self.out}{self.err}"


class Client:
    """`lifescope` with a server's address."""

    def __init__(self, address, user="ada"):
        self.environment = clean_environment(LIFESCOPE_SERVER=address)
        self.environment["USER"] = user

    def start(self, *arguments):
        return subprocess.Popen([BIN / "lifescope", *map(str, arguments)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.environment)

    def ask(self, *arguments):
        return Answer(subprocess.run([BIN / "lifescope", *map(str, arguments)], capture_output=True, text=True,
                                     env=self.environment, timeout=120))

    def show(self, *arguments):
        """The human output of a call that succeeds."""
        answer = self.ask(*arguments)
        if answer.code != 0:
            raise AssertionError(f"lifescope {arguments}: {answer}")
        return answer.out

    def json(self, *arguments):
        """The message of a call that succeeds."""
        return json.loads(self.show(*arguments, "--output", "json"))

    def run_ids(self):
        return {run["runId"] for run in self.json("runs", "--count", 100000)["runs"]}


class ServedTest(unittest.TestCase):
    """One server on the embedded database for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.__exit__)
        cls.client = Client(cls.server.address)

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lifescope-e2e-files-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def file(self, name, content):
        """A file with text, or with JSON of anything else."""
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path


def new_postgres_store(test):
    """URL of an empty database, dropped after the test; skips, or fails where PostgreSQL may not be missing."""
    server = os.environ.get("LIFESCOPE_TEST_POSTGRES")
    if not server:
        if os.environ.get("LIFESCOPE_REQUIRE_POSTGRES") == "1":
            test.fail("LIFESCOPE_TEST_POSTGRES is not set (and LIFESCOPE_REQUIRE_POSTGRES=1)")
        test.skipTest("LIFESCOPE_TEST_POSTGRES is not set: run under tests/postgres/with_postgres.sh")
    name = "e2e_" + uuid.uuid4().hex

    def psql(statement):
        subprocess.run(["psql", "--quiet", "--no-psqlrc", "--command", statement, server], check=True)

    psql(f"CREATE DATABASE {name}")
    test.addCleanup(psql, f"DROP DATABASE {name} WITH (FORCE)")
    return urllib.parse.urlsplit(server)._replace(path="/" + name).geturl()


def new_sqlite_store(test):
    """URL of an empty database in a folder of its own, removed after the test."""
    folder = tempfile.mkdtemp(prefix="lifescope-e2e-store-")
    test.addCleanup(shutil.rmtree, folder)
    return f"sqlite:{folder}/lifescope.db"
