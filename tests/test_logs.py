from __future__ import annotations

import json
import logging

import pytest

from app.core import logging as logs


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


def test_json_line_is_one_object_with_ids(lines) -> None:
    written = lines("json")
    log = logging.getLogger("rdw.test")

    with logs.log_context(request_id="r", trial_id=None):
        with logs.log_context(trial_id="t"):
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
def test_secrets_are_masked_in_every_log_line(lines, form: str) -> None:
    written = lines(form)
    log = logging.getLogger("rdw.test")

    with logs.log_context(request_id=INJECTED):
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


def test_text_line_ends_with_ids(lines) -> None:
    written = lines("text")

    with logs.log_context(request_id="r", trial_id="t"):
        logging.getLogger("rdw.test").info("it runs")
    logging.getLogger("rdw.test").info("it rests")

    runs, rests = written()
    assert runs.endswith("INFO rdw.test: it runs [request_id=r trial_id=t]")
    assert rests.endswith("INFO rdw.test: it rests")
