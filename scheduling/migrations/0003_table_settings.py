"""PostgreSQL: vacuum the table of jobs early and at full speed.

Each job leaves two dead rows behind, and claims read past what is dead in their index until it is vacuumed. By the
server's defaults that begins when a fifth of all rows is dead, history included. No fillfactor: each step of a job's
life changes an indexed column, so no update stays within its page's free room (measured: no gain at 60).
"""

from django.db import migrations

SET = """
ALTER TABLE scheduling_job SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 5000
)
"""
RESET = """
ALTER TABLE scheduling_job RESET (
    autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay,
    autovacuum_analyze_scale_factor, autovacuum_analyze_threshold
)
"""


def on_postgresql(statement):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(statement)

    return run


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0002_attempt_view")]

    operations = [migrations.RunPython(on_postgresql(SET), on_postgresql(RESET), elidable=False)]
