"""The settings: known, valid, and not open to the world."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from pydantic import ValidationError

from app.doctor.finding import Finding, fail, ok, warn
from app.services import keys
from app.settings import Settings, wrong

_PREFIX = "RDW_"
_OF_CLIENTS = ("RDW_URL", "RDW_API_KEY")
_OF_TESTS = "RDW_TEST_"


def unknown_names(env: Mapping[str, str]) -> Finding:
    """A name that nothing reads is most often a slip of the fingers."""
    known = [*(f"{_PREFIX}{name.upper()}" for name in Settings.model_fields), *_OF_CLIENTS]
    unknown = [n for n in sorted(env) if n.startswith(_PREFIX) and not n.startswith(_OF_TESTS) and n not in known]
    if not unknown:
        return ok("variables", "every RDW_* variable is one that is read")
    bare = [name.removeprefix(_PREFIX) for name in known]
    nearest = {name: difflib.get_close_matches(name.removeprefix(_PREFIX), bare, 1) for name in unknown}
    cures = [f"{n}: did you mean {_PREFIX}{close[0]}?" if close else f"unset {n}" for n, close in nearest.items()]
    return warn("variables", f"nothing reads {', '.join(unknown)}", " ".join(cures))


def valid() -> Finding:
    return ok("settings", "valid")


def invalid(error: ValidationError) -> Finding:
    return fail("settings", "; ".join(wrong(error)), "Correct them: the README lists every setting.")


def open_without_keys(settings: Settings) -> Finding:
    there = keys.any_there(settings)
    if settings.beyond_loopback and not there:
        cure = "`rdw keys create`, or RDW_HOST=127.0.0.1. The service does not start like this."
        return fail("keys", f"RDW_HOST={settings.host} lets other machines in, without a key", cure)
    if not there:
        return ok("keys", "none, and only this machine is let in")
    return ok("keys", "a key is asked for")
