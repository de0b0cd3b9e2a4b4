"""`rdw doctor`: checks for common problems on the machine of a service."""

import os
from dataclasses import asdict

import typer

from app.cli.exits import FAILED
from app.cli.output import console, print_json, style_of
from app.cli.parameters import flag

app = typer.Typer()


@app.command("doctor")
def doctor(as_json: bool = flag("--json", "Print the findings as a JSON array.")) -> None:
    """Check this machine for common problems of a service, and say how to fix them.

    Exits with 1 if a check fails.
    """
    from rich.text import Text

    from app.doctor import examine

    findings = []
    out = console()
    for finding in examine(os.environ):
        findings.append(finding)
        if as_json:
            continue
        state = Text(finding.state.ljust(4), style_of(finding.state))
        out.print(Text.assemble(state, f"  {finding.check}: {finding.detail}"), soft_wrap=True)
        if finding.cure:
            out.print(f"      {finding.cure}", soft_wrap=True)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(FAILED)
