"""Batches, and the place of jobs in them. The view over attempts makes way while SQLite remakes the table of jobs."""

from importlib import import_module

import django.db.models.deletion
import scheduling.models.fields
from django.db import migrations, models

VIEW = import_module("scheduling.migrations.0002_attempt_view").VIEW
DROP = "DROP VIEW scheduling_attempt"


class Migration(migrations.Migration):

    dependencies = [
        ('scheduling', '0004_alert'),
    ]

    operations = [
        migrations.RunSQL(DROP, VIEW),
        migrations.AddField(
            model_name='job',
            name='batch_place',
            field=models.IntegerField(help_text='Its place among the calls of its batch, from 0.', null=True),
        ),
        migrations.CreateModel(
            name='Batch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('place', models.IntegerField(null=True)),
                ('total', models.IntegerField()),
                ('on_failure', models.CharField(choices=[('continue', 'Continue'), ('cancel', 'Cancel')], default='continue', max_length=8)),
                ('state', models.CharField(choices=[('open', 'Open'), ('success', 'Success'), ('canceled', 'Canceled')], default='open', max_length=8)),
                ('canceled_by', models.CharField(blank=True, choices=[('', 'not'), ('request', 'Request'), ('failure', 'Failure')], default='', max_length=8)),
                ('on_complete', models.CharField(blank=True, default='', help_text='The mutation that is told.', max_length=200)),
                ('context', scheduling.models.fields.JSONText(help_text='Passed on to on_complete.', null=True)),
                ('created_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(null=True)),
                ('succeeded', models.IntegerField(null=True)),
                ('failed', models.IntegerField(null=True)),
                ('canceled', models.IntegerField(null=True)),
                ('parent', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='batches', to='scheduling.batch')),
                ('root', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='scheduling.batch')),
            ],
            options={
                'verbose_name_plural': 'batches',
                'permissions': [('cancel_batch', 'Can cancel batch')],
            },
        ),
        migrations.AddField(
            model_name='job',
            name='batch',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='jobs', to='scheduling.batch'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('batch__isnull', False)), fields=['batch', 'batch_place'], name='job_of_batch'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('batch__isnull', False), ('state__in', ('pending', 'in_progress'))), fields=['batch', 'batch_place'], name='job_unfinished_of_batch'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('batch__isnull', False), ('state', 'failed')), fields=['batch', 'batch_place'], name='job_failed_of_batch'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('batch__isnull', True), ('batch_place__isnull', True)), models.Q(('batch__isnull', False), ('batch_place__gte', 0)), _connector='OR'), name='job_in_batch'),
        ),
        migrations.RunSQL(VIEW, DROP),
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['id'], name='batch_open'),
        ),
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(condition=models.Q(('parent__isnull', False), ('state', 'open')), fields=['parent', 'place'], name='batch_open_in_batch'),
        ),
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(condition=models.Q(('canceled_by', 'failure'), ('parent__isnull', False)), fields=['parent', 'place'], name='batch_failed_in_batch'),
        ),
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(condition=models.Q(('root__isnull', False)), fields=['root'], name='batch_in_root'),
        ),
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(fields=['state', '-id'], name='batch_by_state'),
        ),
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(condition=models.Q(('root__isnull', True)), fields=['finished_at'], name='batch_ended'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['open', 'success', 'canceled'])), name='batch_state'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.CheckConstraint(condition=models.Q(('on_failure__in', ['continue', 'cancel'])), name='batch_on_failure'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.CheckConstraint(condition=models.Q(('canceled_by__in', ['', 'request', 'failure'])), name='batch_canceled_by'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('canceled__isnull', True), ('failed__isnull', True), ('finished_at__isnull', True), ('state', 'open'), ('succeeded__isnull', True)), models.Q(models.Q(('state', 'open'), _negated=True), ('canceled__gte', 0), ('failed__gte', 0), ('finished_at__isnull', False), ('succeeded__gte', 0)), _connector='OR'), name='batch_closed'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('parent__isnull', True), ('place__isnull', True), ('root__isnull', True)), models.Q(('parent__isnull', False), ('place__gte', 0), ('root__isnull', False)), _connector='OR'), name='batch_place'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.UniqueConstraint(condition=models.Q(('parent__isnull', False)), fields=('parent', 'place'), name='batch_of_batch'),
        ),
    ]
