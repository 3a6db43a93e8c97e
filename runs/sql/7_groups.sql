-- Commits of several runs in one transaction; see runs/committing.py.

-- Lock the runs of a group, and then all their budgets, each in the order of the ids: parts
-- carried out one after the other would lock a run after another's budget. Crosses tenants,
-- so it runs with the owner's rights, matches whole pairs, changes nothing and says nothing.
CREATE OR REPLACE FUNCTION runs_lock_group(p_parts jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  v_part jsonb;
  v_budgets uuid[];
  v_budget uuid;
  v_all uuid[] := '{}';
BEGIN
  FOR v_part IN SELECT * FROM jsonb_array_elements(p_parts) LOOP
    SELECT budget_ids INTO v_budgets FROM public.runs_run
      WHERE id = (v_part ->> 2)::uuid AND tenant_id = (v_part ->> 1)::uuid FOR NO KEY UPDATE;
    IF FOUND THEN
      v_all := v_all || v_budgets;
    END IF;
  END LOOP;
  FOR v_budget IN SELECT DISTINCT b FROM unnest(v_all) AS b ORDER BY b LOOP
    PERFORM 1 FROM public.policy_budget WHERE id = v_budget FOR NO KEY UPDATE;
  END LOOP;
END $$;

-- Carry out parts [[kind, argument, ...], ...] of several runs, sorted by run, each exactly as
-- its function does it alone: under its own tenant, guarded by its own token, so that a lost
-- lease drops its own part only. All or nothing where one raises; its caller then tries each
-- alone. It waits for no lock for long: whoever is stuck must not hold up the other runs.
CREATE OR REPLACE FUNCTION runs_commit(p_parts jsonb, p_moves_money boolean) RETURNS jsonb
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
DECLARE
  p jsonb;
  v_answers jsonb[] := '{}';
BEGIN
  IF p_moves_money THEN
    PERFORM runs_lock_group(p_parts);
  END IF;
  FOR p IN SELECT * FROM jsonb_array_elements(p_parts) LOOP
    v_answers := array_append(v_answers, CASE p ->> 0
      WHEN 'put_effect' THEN to_jsonb(runs_put_effect(
        (p ->> 1)::uuid, (p ->> 2)::uuid, (p ->> 3)::int, p ->> 4, (p ->> 5)::int,
        (p ->> 6)::bigint, (p ->> 7)::boolean, p ->> 8, p -> 9, p -> 10))
      WHEN 'finish_task' THEN runs_finish_task(
        (p ->> 1)::uuid, (p ->> 2)::uuid, (p ->> 3)::int, p ->> 4, (p ->> 5)::bigint,
        p ->> 6, (p ->> 7)::float8, p -> 8, p -> 9)
      ELSE runs_save(
        (p ->> 1)::uuid, (p ->> 2)::uuid, (p ->> 3)::bigint, (p ->> 4)::int, p ->> 5,
        (p ->> 6)::float8, nullif(p -> 7, 'null'), nullif(p -> 8, 'null'), p ->> 9,
        (p ->> 10)::int, p -> 11, p -> 12)
      END);
  END LOOP;
  RETURN to_jsonb(v_answers);
END $$;
