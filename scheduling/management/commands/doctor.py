"""`manage.py doctor`: what is wrong, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from scheduling import doctor
from scheduling.management.output import ReportCommand, fail
from scheduling.words import count


class Command(ReportCommand):
    """Examines, prints."""

    help = "Say what is wrong and how to mend it. Exit codes: 0 nothing, 1 something is wrong, 2 wrong use."
    examples = """\
  manage.py doctor
  manage.py doctor --json"""

    def report(self, **_options: Any) -> None:
        """All findings, errors first."""
        found = doctor.examine()
        if self.as_json:
            self.print_json([asdict(finding) for finding in found])
        for finding in found if not self.as_json else ():
            self.print_lines(
                f"{finding.severity}: {finding.where}: {finding.what} [{finding.code}]", f"  mend: {finding.mend}"
            )
        if found:
            fail(f"{count(len(found), 'finding')}")
        self.say("nothing is wrong")
