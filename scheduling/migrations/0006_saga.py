"""Sagas, and what was cut off. The view over attempts makes way while SQLite remakes the table of jobs."""

from importlib import import_module

import django.db.models.deletion
import scheduling.models.fields
from django.db import migrations, models

VIEW = import_module("scheduling.migrations.0002_attempt_view").VIEW
DROP = "DROP VIEW scheduling_attempt"


class Migration(migrations.Migration):

    dependencies = [
        ('scheduling', '0005_batch'),
    ]

    operations = [
        migrations.RunSQL(DROP, VIEW),
        migrations.AddField(
            model_name='job',
            name='cut_off',
            field=models.BooleanField(db_default=False, help_text='An attempt of an action was cut off: nobody can say how far it came.'),
        ),
        migrations.RunSQL(VIEW, DROP),
        migrations.CreateModel(
            name='Saga',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('running', 'Running'), ('undoing', 'Undoing'), ('success', 'Success'), ('undone', 'Undone'), ('failed', 'Failed')], default='running', max_length=8)),
                ('canceled', models.BooleanField(default=False)),
                ('error', models.TextField(blank=True, default='')),
                ('on_complete', models.CharField(blank=True, default='', help_text='The mutation that is told.', max_length=200)),
                ('context', scheduling.models.fields.JSONText(help_text='Passed on to on_complete.', null=True)),
                ('created_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(null=True)),
            ],
            options={
                'permissions': [('cancel_saga', 'Can cancel saga'), ('resume_saga', 'Can resume saga')],
                'indexes': [models.Index(fields=['state', '-id'], name='saga_by_state'), models.Index(condition=models.Q(('finished_at__isnull', False)), fields=['finished_at'], name='saga_ended'), models.Index(condition=models.Q(('finished_at__isnull', True)), fields=['id'], name='saga_unfinished')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['running', 'undoing', 'success', 'undone', 'failed'])), name='saga_state'), models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('state__in', ['success', 'undone'])), models.Q(('finished_at__isnull', True), ('state__in', ['running', 'undoing', 'failed'])), _connector='OR'), name='saga_finished')],
            },
        ),
        migrations.CreateModel(
            name='SagaStep',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('place', models.IntegerField(help_text='From 0.')),
                ('do', models.CharField(help_text='The function that does it.', max_length=200)),
                ('undo', models.CharField(blank=True, default='', help_text='The function that undoes it.', max_length=200)),
                ('args', scheduling.models.fields.JSONText(default=dict)),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('doing', 'Doing'), ('done', 'Done'), ('failed', 'Failed'), ('unknown', 'Unknown'), ('undoing', 'Undoing'), ('undone', 'Undone'), ('undo_failed', 'Undo Failed')], default='waiting', max_length=11)),
                ('result', scheduling.models.fields.JSONText(null=True)),
                ('error', models.TextField(blank=True, default='', help_text='Of the job that does it, then of that which undoes.')),
                ('job', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='scheduling.job')),
                ('saga', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='steps', to='scheduling.saga')),
                ('undo_job', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='scheduling.job')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'doing', 'done', 'failed', 'unknown', 'undoing', 'undone', 'undo_failed'])), name='saga_step_state'), models.UniqueConstraint(fields=('saga', 'place'), name='saga_step_place')],
            },
        ),
    ]
