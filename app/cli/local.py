"""What the commands that run on the service's machine share: its settings, and their errors in words."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.cli.exits import FAILED, INVALID

if TYPE_CHECKING:
    from app.settings import Settings


def with_settings(run: Callable[[Settings], int]) -> int:
    """Run on the machine of the service; wrong settings and a database that is away are said in a line."""
    from pydantic import ValidationError

    from app.db.session import DatabaseAway
    from app.logs import configure, redacted
    from app.settings import get_settings, wrong

    try:
        configure(get_settings().log_format)
        return run(get_settings())
    except ValidationError as error:
        for line in wrong(error):
            print(line, file=sys.stderr)
        return INVALID
    except DatabaseAway as error:
        print(redacted(error.in_full), file=sys.stderr)
        return FAILED
