"""What a call of a remote tool costs."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tools', '0008_retry'),
    ]

    operations = [
        migrations.AddField(
            model_name='remotetool',
            name='price',
            field=models.DecimalField(db_default=0, decimal_places=9, default=0, help_text='What a call costs, in US dollars.', max_digits=20),
        ),
        migrations.AddConstraint(
            model_name='remotetool',
            constraint=models.CheckConstraint(condition=models.Q(('price__gte', 0)), name='remote_tool_price_is_not_negative'),
        ),
    ]
