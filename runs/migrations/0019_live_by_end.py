
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0023_who_decides_answers'),
        ('runs', '0018_deadline_stops'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='run',
            name='run_live',
        ),
        migrations.RemoveIndex(
            model_name='task',
            name='task_live',
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('finished_at__isnull', True)), fields=['state'], name='run_live'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(condition=models.Q(('result__isnull', True)), fields=['state'], name='task_live'),
        ),
    ]
