"""What was acknowledged is there after kill -9 and after SIGTERM, on either database."""

import json
import tempfile
import threading
import unittest

from lifescope import Client, Server, home, lifescoped, new_postgres_store, new_sqlite_store

CLIENTS = 3
# Answers to wait for before the server is killed, so that each kill meets calls at work.
ANSWERS_PER_ROUND = 12
ROUNDS = 3


class Asker(threading.Thread):
    """Encodes one life after the other until the server is gone; keeps the run ids that were acknowledged."""

    def __init__(self, address, persons, answered):
        super().__init__()
        self.client, self.persons, self.answered = Client(address), persons, answered
        self.run_ids, self.codes = [], []

    def run(self):
        while not self.codes or self.codes[-1] == 0:
            person = self.persons[len(self.codes) % len(self.persons)]
            answer = self.client.ask("encode", "--person", person, "--output", "json", "--timeout", 20)
            if answer.code == 0:
                self.run_ids.append(json.loads(answer.out)["runId"])
                self.answered.release()
            self.codes.append(answer.code)


class StoreLaws:
    """Laws of a server on a store; a subclass names the store."""

    def setUp(self):
        self.store = self.new_store()
        lifescoped("index", "--home", home(), "--dictionary", "demo-sae", "--corpus", "demo", "--store", self.store)
        with Server(store=self.store) as server:
            examples = Client(server.address).json("top", self.feature(server), "--count", 20, "--no-text")["examples"]
        self.persons = [example["personId"] for example in examples]

    @staticmethod
    def feature(server):
        return Client(server.address).json("features", "--count", 1)["features"][0]["feature"]

    def killed_in_the_middle(self, server):
        """Run ids that were acknowledged before the server was killed among calls."""
        answered = threading.Semaphore(0)
        askers = [Asker(server.address, self.persons[index:], answered) for index in range(CLIENTS)]
        for asker in askers:
            asker.start()
        for _ in range(ANSWERS_PER_ROUND):
            self.assertTrue(answered.acquire(timeout=60), "no answer for a minute")
        server.kill()
        for asker in askers:
            asker.join()
            self.assertEqual(asker.codes[-1], 3)
        return [run_id for asker in askers for run_id in asker.run_ids]

    def test_kill_9_loses_no_acknowledged_run(self):
        acknowledged = set()
        for _ in range(ROUNDS):
            with Server(store=self.store) as server:
                acknowledged.update(self.killed_in_the_middle(server))
        with Server(store=self.store) as server:
            client = Client(server.address)
            listed = client.run_ids()
            self.assertGreaterEqual(len(acknowledged), ROUNDS * ANSWERS_PER_ROUND)
            self.assertEqual(acknowledged - listed, set())
            # Nor is anything half written: each listed run is whole.
            for run_id in listed:
                self.assertEqual(client.json("runs", run_id)["encodeResponse"]["runId"], run_id)

    def test_sigterm_drains_and_ends_with_zero(self):
        with Server(store=self.store) as server:
            client = Client(server.address)
            first = client.json("encode", "--person", self.persons[0])["runId"]
            calls = [client.start("encode", "--person", ",".join(self.persons), "--output", "json", "--timeout", 20)
                     for _ in range(CLIENTS)]
            self.assertEqual(server.terminate(), 0)
            self.assertIn("stopped", server.log())
            answers = [(call.communicate()[0], call.returncode) for call in calls]
        acknowledged = {first} | {json.loads(out)["runId"] for out, code in answers if code == 0}
        self.assertTrue(all(code in (0, 1, 3) for _, code in answers), answers)
        with Server(store=self.store) as server:
            self.assertEqual(acknowledged - Client(server.address).run_ids(), set())

    def test_a_second_sigterm_ends_at_once(self):
        with Server(store=self.store, options=["--drain-delay-s", "3000"]) as server:
            server.process.terminate()
            server.wait_for_log(" draining ")
            self.assertEqual(server.terminate(), 128 + 15)

    def test_a_retry_after_a_crash_gets_the_stored_answer(self):
        plan = {"documents": [{"person": {"person_id": self.persons[0]}}], "reads": [{"klToClean": {}}]}
        answers = []
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(plan, file)
            file.flush()
            for _ in range(2):
                with Server(store=self.store) as server:
                    answers.append(Client(server.address).json("run", file.name, "--request-id", "before-the-crash"))
                    server.kill()
        self.assertEqual(answers[0], answers[1])


class SqliteTest(StoreLaws, unittest.TestCase):
    def new_store(self):
        return new_sqlite_store(self)


class PostgresTest(StoreLaws, unittest.TestCase):
    def new_store(self):
        return new_postgres_store(self)


if __name__ == "__main__":
    unittest.main()
