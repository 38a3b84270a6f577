"""Events, what they have started, and what their bindings remember."""

import django.db.models.deletion
import scheduling.models.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('scheduling', '0007_workflow'),
    ]

    operations = [
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('data', scheduling.models.fields.JSONText(null=True)),
                ('given_id', models.CharField(blank=True, default='', help_text='The id that its sender gave it.', max_length=200)),
                ('holds_id', models.CharField(editable=False, help_text='The same, for a day: it is dropped again.', max_length=200, null=True, unique=True)),
                ('sent_at', models.DateTimeField()),
                ('delivered_at', models.DateTimeField(help_text='When it was handed to what is bound to it, or taken by its workflow.', null=True)),
                ('workflow', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='scheduling.job')),
            ],
            options={
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='EventDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('binding', models.CharField(help_text="The event's name and the function's.", max_length=401)),
                ('key', models.CharField(blank=True, default='', help_text='Those of a binding and key go together.', max_length=200)),
                ('state', models.CharField(choices=[('started', 'Started'), ('waiting', 'Waiting'), ('replaced', 'Replaced'), ('skipped', 'Skipped'), ('refused', 'Refused')], max_length=8)),
                ('note', models.TextField(blank=True, default='')),
                ('event', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='scheduling.event')),
                ('job', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='scheduling.job')),
            ],
        ),
        migrations.CreateModel(
            name='EventGroup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('binding', models.CharField(max_length=401)),
                ('key', models.CharField(max_length=200)),
                ('used_up_to', models.DateTimeField(help_text='Until when its rate is spoken for.', null=True)),
                ('changed_at', models.DateTimeField()),
                ('job', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='scheduling.job')),
                ('newest', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='scheduling.event')),
            ],
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['sent_at'], name='event_old'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('delivered_at__isnull', True), ('workflow__isnull', False)), fields=['workflow', 'name', 'id'], name='event_for_workflow'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['name', 'id'], name='event_of_name'),
        ),
        migrations.AddIndex(
            model_name='eventdelivery',
            index=models.Index(fields=['binding', 'key', 'state', 'event'], name='event_delivery_group'),
        ),
        migrations.AddConstraint(
            model_name='eventdelivery',
            constraint=models.UniqueConstraint(fields=('event', 'binding'), name='event_delivered_once'),
        ),
        migrations.AddConstraint(
            model_name='eventdelivery',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['started', 'waiting', 'replaced', 'skipped', 'refused'])), name='event_delivery_state'),
        ),
        migrations.AddIndex(
            model_name='eventgroup',
            index=models.Index(fields=['changed_at'], name='event_group_old'),
        ),
        migrations.AddConstraint(
            model_name='eventgroup',
            constraint=models.UniqueConstraint(fields=('binding', 'key'), name='event_group_once'),
        ),
    ]
