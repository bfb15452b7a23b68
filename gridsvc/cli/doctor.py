"""``gridsvc doctor``: what is missing or wrong on this machine, one sentence each, and how to mend it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from gridsvc.cli.terminal import print_result
from gridsvc.errors import SettingError
from gridsvc.settings import read_settings

if TYPE_CHECKING:
    from gridsvc.services.health_checks import Finding


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Say what is missing or wrong, and how to mend it. Exit status 1 when anything is.

    Starts the embedded database to see whether it does, and stops it again when nobody else uses it.

    \b
    Example:
      gridsvc doctor
    """
    try:
        from gridsvc.services.health_checks import Finding, examine
    except ImportError as error:  # a broken installation is what the doctor is called for
        found = {
            "check": "dependencies",
            "ok": False,
            "found": f"{error}.",
            "mend": "Run ./run setup, or pip install gridsvc again.",
        }
        print_result([found], as_json)
        sys.exit(1)
    findings: list[Finding] = []
    try:
        settings = read_settings()
    except SettingError as error:
        findings.append(Finding("settings", False, error.message, error.hint))
        _show(findings[-1], as_json)
    else:
        findings.append(Finding("settings", True, f"All settings are valid; GRIDSVC_VAR is {settings.var_dir}."))
        _show(findings[-1], as_json)
        for finding in examine(settings):
            findings.append(finding)
            _show(finding, as_json)
    if as_json:
        print_result([asdict(finding) for finding in findings], as_json=True)
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


def _show(finding: Finding, as_json: bool) -> None:
    if as_json:
        return
    mark = click.style("ok   ", fg="green") if finding.ok else click.style("wrong", fg="red")
    mend = f" {finding.mend}" if finding.mend else ""
    click.echo(f"{mark}  {finding.check}: {finding.found}{mend}")
