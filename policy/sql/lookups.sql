-- Questions that cross tenants; see also policy/migrations/0003_lookups.py.

-- Which tenant has this short name. Asked before a scope is open, by commands in either role.
CREATE OR REPLACE FUNCTION policy_tenant_of_slug(p_slug text)
RETURNS TABLE (id uuid, slug text, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT t.id, t.slug::text, t.name::text FROM public.policy_tenant AS t WHERE t.slug = p_slug
$$;
