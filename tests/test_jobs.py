from __future__ import annotations

import threading
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from kombu import Connection
from sqlalchemy import event

from app.core.settings import Settings
from app.db.session import engine_for
from app.http.app import create_app
from app.jobs.background import run_maintenance_loop
from app.jobs.queue import JobQueue, make_celery
from tests.support import SMALL, LocalClient, find_free_port


def test_concurrent_file_broker_loses_no_message(tmp_path: Path) -> None:
    celery = make_celery(Settings(data_dir=tmp_path, broker_url=""))
    options = celery.conf.broker_transport_options
    sent, seen = 300, []

    def connected() -> Connection:
        return Connection(celery.conf.broker_url, transport_options=options)

    def write(writer: int) -> None:
        with connected() as connection:
            queue = connection.SimpleQueue("q")
            for n in range(sent):
                queue.put([writer, n])

    def read() -> None:
        with connected() as connection:
            queue = connection.SimpleQueue("q")
            deadline = time.monotonic() + 60
            while len(seen) < 2 * sent and time.monotonic() < deadline:
                try:
                    message = queue.get(timeout=0.2)
                except queue.Empty:
                    continue
                seen.append(tuple(message.payload))
                message.ack()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(2)]
    threads += [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(seen) == [(writer, n) for writer in range(2) for n in range(sent)]


def test_message_sent_before_queue_binding_is_not_lost(tmp_path: Path) -> None:
    celery = make_celery(Settings(data_dir=tmp_path, broker_url=""))

    def connected() -> Connection:
        return Connection(celery.conf.broker_url, transport_options=celery.conf.broker_transport_options)

    with connected() as first:
        first.SimpleQueue("declared")
    for binding in tmp_path.rglob("*.exchange"):
        binding.unlink()  # as it is between another thread's note of the binding and its writing it down
    with connected() as second:
        queue = second.SimpleQueue("declared")
        queue.put("kept")

        assert queue.get(timeout=60).payload == "kept"


def test_trial_is_accepted_during_broker_outage(settings: Settings) -> None:
    away = settings.model_copy(update={"broker_url": f"redis://127.0.0.1:{find_free_port()}/0"})
    with LocalClient(create_app(away)) as client:
        client.post("/v1/architectures", json=SMALL)

        answer = client.post("/v1/trials", json={"architecture": "small", "dataset": "digits"})

        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
        assert client.get("/readyz").json()["broker"] == "does not answer"


def test_job_contains_only_trial_id(redis: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, broker_url=redis)
    celery = make_celery(settings)
    with celery.connection_for_write() as connection, closing(JobQueue(settings)) as jobs:
        queue = connection.SimpleQueue("rdw")
        queue.clear()

        jobs.send(["abc"])
        message = queue.get(timeout=60)
        message.ack()

        assert message.payload[0] == ["abc"]
        assert message.headers["task"] == "rdw.train"


def test_no_thread_of_the_service_survives_its_shut_down(settings: Settings) -> None:
    before = set(threading.enumerate())
    with LocalClient(create_app(settings)) as client:
        client.get("/v1/queue").raise_for_status()
        assert {thread.name for thread in threading.enumerate()} >= {"maintenance", "dataset-checks"}

    assert {thread.name for thread in set(threading.enumerate()) - before} == set()


def test_idle_maintenance_is_one_transaction_a_round(settings: Settings) -> None:
    rounds: list[int] = []
    begun: list[int] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rounds.append(len(begun))
            if len(rounds) == 4:
                self.set()
            return self.is_set()

    with closing(JobQueue(settings)) as jobs:
        event.listen(engine_for(settings.database), "begin", lambda _: begun.append(1))
        run_maintenance_loop(settings, jobs, Stop())

    assert [later - earlier for earlier, later in pairwise(rounds)] == [1, 1, 1]
