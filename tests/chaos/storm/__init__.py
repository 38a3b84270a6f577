"""A storm: real hosts under constant load and random faults, and what must hold afterwards.

`python -m tests.chaos.storm --help`; what it is and what it checks: docs/how-to/chaos.md.

functions.py, crons.py, models.py, apps.py and settings.py are the Django app that the hosts run. place.py makes the
database, hosts.py the hosts and their supervisor, load.py the load, faults.py and outages.py the faults; evidence.py
gathers what came of it, invariants.py judges it (pure functions), report.py words it.
"""
