from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tools", "0004_reconcile_tools"),
    ]

    operations = [
        migrations.AddField(
            model_name="remotetool",
            name="targets",
            field=models.JSONField(
                blank=True,
                help_text="Arguments that decide where or to whom; null: as their names suggest.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="remotetool",
            name="trusted",
            field=models.BooleanField(
                default=False,
                help_text="No stranger writes what it gives: a trusted source of values.",
            ),
        ),
    ]
