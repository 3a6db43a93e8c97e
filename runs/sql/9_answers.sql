-- What an answer may not tell: that something of another tenant's has this id.

-- Name those of these ids that are another tenant's run, approval, principal or tenant. Looks
-- across tenants, so with the owner's rights, and says nothing but yes or no.
CREATE OR REPLACE FUNCTION runs_foreign(p_tenant uuid, p_ids uuid[]) RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT coalesce(array_agg(DISTINCT f.id), '{}') FROM (
    SELECT id FROM runs_run WHERE id = ANY (p_ids) AND tenant_id <> p_tenant
    UNION ALL SELECT id FROM policy_approval WHERE id = ANY (p_ids) AND tenant_id <> p_tenant
    UNION ALL SELECT id FROM policy_principal WHERE id = ANY (p_ids) AND tenant_id <> p_tenant
    UNION ALL SELECT id FROM policy_tenant WHERE id = ANY (p_ids) AND id <> p_tenant) AS f
$$;
