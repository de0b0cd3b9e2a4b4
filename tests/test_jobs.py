from __future__ import annotations

import threading
from pathlib import Path

from fastapi.testclient import TestClient
from kombu import Connection

from app.jobs import JobQueue, make_celery
from app.main import create_app
from app.settings import Settings
from tests.support import SMALL, free_port


def test_no_message_is_lost_between_writers_and_readers_on_the_files_transport(tmp_path: Path) -> None:
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
            while len(seen) < 2 * sent:
                try:
                    message = queue.get(timeout=2)
                except queue.Empty:
                    return
                seen.append(tuple(message.payload))
                message.ack()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(2)]
    threads += [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(seen) == [(writer, n) for writer in range(2) for n in range(sent)]


def test_no_message_is_lost_while_another_thread_has_yet_to_write_the_queues_binding(tmp_path: Path) -> None:
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

        assert queue.get(timeout=2).payload == "kept"


def test_a_trial_is_accepted_while_the_broker_is_away(settings: Settings) -> None:
    away = settings.model_copy(update={"broker_url": f"redis://127.0.0.1:{free_port()}/0"})
    with TestClient(create_app(away)) as client:
        client.post("/v1/architectures", json=SMALL)

        answer = client.post("/v1/trials", json={"architecture": "small", "dataset": "digits"})

        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
        assert client.get("/readyz").json()["broker"] == "does not answer"


def test_a_job_is_a_trials_id_and_nothing_else(redis: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, broker_url=redis)
    celery = make_celery(settings)
    with celery.connection_for_write() as connection:
        queue = connection.SimpleQueue("rdw")
        queue.clear()

        JobQueue(settings).send(["abc"])
        message = queue.get(timeout=5)
        message.ack()

        assert message.payload[0] == ["abc"]
        assert message.headers["task"] == "rdw.train"
