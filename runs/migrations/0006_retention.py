"""History of ended runs may be removed, by one function and nobody else."""

from django.db import migrations, models

REFUSE = """
CREATE FUNCTION runs_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND current_setting('agentops.forgetting', true) = OLD.run_id::text THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""

TRIGGER = """
DROP TRIGGER append_only ON {table};
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}
  FOR EACH ROW EXECUTE FUNCTION {function}();
"""
TABLES = ("runs_checkpoint", "runs_runevent")


def triggers(function):
    return "".join(TRIGGER.format(table=table, function=function) for table in TABLES)


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0006_retention'),
        ('runs', '0005_children'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='history_removed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('finished_at__isnull', False), ('history_removed_at__isnull', True)), fields=['tenant', 'finished_at'], name='run_with_history'),
        ),
        migrations.RunSQL(REFUSE, "DROP FUNCTION runs_refuse_change()"),
        migrations.RunSQL(triggers("runs_refuse_change"), triggers("policy_refuse_change")),
    ]
