"""Workflows: their journal. The view over attempts makes way as in 0006."""

from importlib import import_module

import django.db.models.deletion
import scheduling.models.fields
from django.db import migrations, models

VIEW = import_module("scheduling.migrations.0002_attempt_view").VIEW
DROP = "DROP VIEW scheduling_attempt"


class Migration(migrations.Migration):

    dependencies = [
        ('scheduling', '0006_saga'),
    ]

    operations = [
        migrations.RunSQL(DROP, VIEW),
        migrations.AddField(
            model_name='job',
            name='woken',
            field=models.BooleanField(db_default=False, help_text='A workflow that runs is to run again at once.'),
        ),
        migrations.RunSQL(VIEW, DROP),
        migrations.CreateModel(
            name='JournalEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.IntegerField(help_text="From 0, which is the workflow's begin.")),
                ('kind', models.CharField(choices=[('begin', 'Begin'), ('run', 'Run'), ('gather', 'Gather'), ('sleep', 'Sleep'), ('event', 'Event'), ('workflow', 'Workflow')], max_length=8)),
                ('name', models.CharField(max_length=200)),
                ('args', scheduling.models.fields.JSONText(default=dict)),
                ('state', models.CharField(choices=[('success', 'Success'), ('failed', 'Failed'), ('unknown', 'Unknown'), ('started', 'Started'), ('waiting', 'Waiting'), ('retrying', 'Retrying')], max_length=8)),
                ('result', scheduling.models.fields.JSONText(null=True)),
                ('error', models.TextField(blank=True, default='')),
                ('attempt', models.IntegerField(default=0)),
                ('wake_at', models.DateTimeField(help_text='When it goes on without a word: a sleep, a wait, a timeout.', null=True)),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(null=True)),
                ('batch', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='scheduling.batch')),
                ('job', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='scheduling.job')),
                ('workflow', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='journal', to='scheduling.job')),
            ],
            options={
                'verbose_name_plural': 'journal',
                'constraints': [models.UniqueConstraint(fields=('workflow', 'position'), name='journal_place'), models.CheckConstraint(condition=models.Q(('kind__in', ['begin', 'run', 'gather', 'sleep', 'event', 'workflow'])), name='journal_kind'), models.CheckConstraint(condition=models.Q(('state__in', ['success', 'failed', 'unknown', 'started', 'waiting', 'retrying'])), name='journal_state'), models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('state__in', ('success', 'failed', 'unknown'))), models.Q(models.Q(('state__in', ('success', 'failed', 'unknown')), _negated=True), ('finished_at__isnull', True)), _connector='OR'), name='journal_settled')],
            },
        ),
        migrations.CreateModel(
            name='Workflow',
            fields=[
            ],
            options={
                'proxy': True,
                'default_permissions': ('view',),
                'indexes': [],
                'constraints': [],
            },
            bases=('scheduling.job',),
        ),
    ]
