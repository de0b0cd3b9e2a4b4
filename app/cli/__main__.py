"""`python -m app.cli` is `rdw`."""

from app.cli import main

raise SystemExit(main())
