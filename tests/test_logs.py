from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from app import logs
from tests.failures.service import running
from tests.support import SMALL


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]):
    """Configures logging and gives what has been written since; puts back what was there."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def configured(form: str):
        logs.configure(form)
        return lambda: capsys.readouterr().err.splitlines()

    yield configured
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level


def test_a_json_line_is_one_object_with_the_ids_it_is_about(lines) -> None:
    written = lines("json")
    log = logging.getLogger("rdw.test")

    with logs.about(request_id="r", trial_id=None):
        with logs.about(trial_id="t"):
            try:
                raise ValueError("on\ntwo lines")
            except ValueError:
                log.exception("it %s", "failed")
        log.info("after")
    log.info("outside")

    failed, after, outside = map(json.loads, written())
    assert (failed["level"], failed["logger"], failed["message"]) == ("ERROR", "rdw.test", "it failed")
    assert (failed["request_id"], failed["trial_id"]) == ("r", "t")
    assert "two lines" in failed["exception"]
    assert (after["request_id"], "trial_id" in after) == ("r", False)
    assert "request_id" not in outside


INJECTED = 'bearer x", "level": "DEBUG'


@pytest.mark.parametrize("form", ["json", "text"])
def test_whatever_is_logged_a_secret_is_struck_out_of_it_and_the_line_stays_one(lines, form: str) -> None:
    written = lines(form)
    log = logging.getLogger("rdw.test")

    with logs.about(request_id=INJECTED):
        try:
            raise ValueError('Bearer s3cret\\" redis://me:s3cret@host')
        except ValueError:
            log.exception('it said "Bearer s3cret" and C:\\ after bearer \\')

    whole = "\n".join(written())
    assert "s3cret" not in whole
    assert whole.count("***") == 7  # the traceback has its line of the source as well
    if form == "json":
        line = json.loads(whole)
        assert (line["level"], line["request_id"]) == ("ERROR", 'bearer ***", "level": "DEBUG')
        assert line["message"] == 'it said "Bearer ***" and C:\\ after bearer ***'
        assert line["exception"].endswith("redis://me:***@host")


def test_a_plain_line_ends_with_the_ids(lines) -> None:
    written = lines("text")

    with logs.about(request_id="r", trial_id="t"):
        logging.getLogger("rdw.test").info("it runs")
    logging.getLogger("rdw.test").info("it rests")

    runs, rests = written()
    assert runs.endswith("INFO rdw.test: it runs [request_id=r trial_id=t]")
    assert rests.endswith("INFO rdw.test: it rests")


def test_a_requests_id_is_on_the_lines_of_the_api_and_of_the_worker_that_trains(tmp_path: Path) -> None:
    settings = {"RDW_WORKERS": "1", "RDW_DATABASE_URL": "", "RDW_BROKER_URL": "", "RDW_LOG_FORMAT": "json"}
    with running(tmp_path, **settings) as service:
        service.client.headers["X-Request-ID"] = "a-request"
        service.post("/v1/architectures", SMALL)
        body = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"}
        trial = service.post("/v1/trials", body)["id"]
        service.wait_for_trial(trial)
    # Celery prints a line or two of its own when a worker begins and ends.
    written = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]

    about = [line for line in written if line.get("request_id") == "a-request"]
    assert any(line["message"].startswith(f"trial {trial} is queued") for line in about)
    of_the_worker = [line["message"] for line in about if line.get("trial_id") == trial]
    assert any("attempt 1" in message for message in of_the_worker)
    assert any("completed" in message for message in of_the_worker)
