"""Checks of the settings: known names, valid values, and no access from other machines without a key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from pydantic import ValidationError

from app.core.settings import Settings, describe_errors
from app.doctor.finding import Finding, fail, ok, warn
from app.services.auth import keys

_PREFIX = "RDW_"
_CLIENT_VARIABLES = ("RDW_URL", "RDW_API_KEY")
_TEST_PREFIX = "RDW_TEST_"


def check_names(env: Mapping[str, str]) -> Finding:
    """Check for RDW_* variables that nothing reads: most are misspelt."""
    names = [*(f"{_PREFIX}{name.upper()}" for name in Settings.model_fields), *_CLIENT_VARIABLES]
    unknown = [n for n in sorted(env) if n.startswith(_PREFIX) and not n.startswith(_TEST_PREFIX) and n not in names]
    if not unknown:
        return ok("variables", "every RDW_* variable is a setting")
    bare = [name.removeprefix(_PREFIX) for name in names]
    nearest = {name: difflib.get_close_matches(name.removeprefix(_PREFIX), bare, 1) for name in unknown}
    cures = [f"{n}: did you mean {_PREFIX}{close[0]}?" if close else f"unset {n}" for n, close in nearest.items()]
    return warn("variables", f"nothing reads {', '.join(unknown)}", " ".join(cures))


def valid_settings() -> Finding:
    return ok("settings", "valid")


def invalid_settings(error: ValidationError) -> Finding:
    return fail("settings", "; ".join(describe_errors(error)), "Correct them: docs/settings.md lists every setting.")


def check_keys(settings: Settings) -> Finding:
    has_keys = keys.any_configured(settings)
    if settings.listens_beyond_loopback and not has_keys:
        cure = "`rdw keys create`, or RDW_HOST=127.0.0.1. The service does not start with these settings."
        return fail("keys", f"RDW_HOST={settings.host} allows other machines without a key", cure)
    if not has_keys:
        return ok("keys", "no key exists, and only this machine has access")
    return ok("keys", "a key is required")
