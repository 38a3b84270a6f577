"""A storm: real hosts under constant load and random faults, and what must hold afterwards.

`python -m tests.chaos.storm --help`; what it is and what it checks: docs/how-to/chaos.md.

functions.py, workflows.py, crons.py, models.py, apps.py and settings.py are the Django app that the hosts run. place.py
makes the database, hosts.py the hosts and their supervisor, load.py the load (flows.py what of it takes many steps),
faults.py and outages.py the faults; evidence.py and flow_rows.py gather what came of it; invariants.py judges it, with
workflow_invariants.py, group_invariants.py and pace.py (pure functions); report.py words it.
"""
