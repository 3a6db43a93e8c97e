"""The two questions that cross tenants: whose key is this, and where may this person work."""

from django.conf import settings
from django.db import migrations

FUNCTIONS = """
CREATE FUNCTION policy_lookup_key(key_hash text)
RETURNS TABLE (
  tenant_id uuid, tenant_slug text, principal_id uuid, principal_name text,
  roles text[], is_person boolean, expired boolean, revoked boolean
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT t.id, t.slug::text, p.id, p.name::text, p.roles::text[], p.user_id IS NOT NULL,
         coalesce(k.expires_at <= statement_timestamp(), false), k.revoked_at IS NOT NULL
    FROM policy_apikey k
    JOIN policy_principal p ON p.id = k.principal_id AND p.tenant_id = k.tenant_id
    JOIN policy_tenant t ON t.id = k.tenant_id
   WHERE k.hash = key_hash
$$;

CREATE FUNCTION policy_tenants_of_user(who bigint)
RETURNS TABLE (id uuid, slug text, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT t.id, t.slug::text, t.name::text
    FROM policy_tenant t
    JOIN auth_user u ON u.id = who AND u.is_active
   WHERE u.is_superuser
      OR EXISTS (SELECT FROM policy_principal p WHERE p.tenant_id = t.id AND p.user_id = u.id)
   ORDER BY t.name, t.id
$$;
"""
SIGNATURES = ["policy_lookup_key(text)", "policy_tenants_of_user(bigint)"]


def grant(apps, schema_editor):
    role = schema_editor.quote_name(settings.APP_ROLE)
    for signature in SIGNATURES:
        schema_editor.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        schema_editor.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {role}")


class Migration(migrations.Migration):
    dependencies = [
        ("policy", "0002_row_security"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.RunSQL(
            FUNCTIONS, ";".join(f"DROP FUNCTION {signature}" for signature in SIGNATURES)
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
