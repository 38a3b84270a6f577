"""The view that shows all attempts of a job, the last one too."""

from django.db import migrations

VIEW = """
CREATE VIEW scheduling_attempt AS
SELECT job_id || '.' || number AS id, job_id, number, started_at, finished_at, host_id, process, error, log
FROM scheduling_pastattempt
UNION ALL
SELECT id || '.' || attempt, id, attempt, started_at, finished_at, host_id, process, error, log
FROM scheduling_job WHERE started_at IS NOT NULL
"""


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0001_initial")]

    operations = [migrations.RunSQL(VIEW, "DROP VIEW scheduling_attempt")]
