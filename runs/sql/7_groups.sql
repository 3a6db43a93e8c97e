-- Commits of several runs in one transaction; see runs/committing.py.

-- Lock the runs of a group, then all their budgets, then the joins that they count in or wait
-- for, each in the order of the ids: parts carried out one after the other would lock a run
-- after another's budget, and two groups would lock two joins in two orders. Crosses tenants,
-- so it runs with the owner's rights, matches whole pairs, changes nothing and says nothing.
CREATE OR REPLACE FUNCTION runs_lock_group(p_parts jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  v_runs uuid[];
  v_joins uuid[];
  v_budgets jsonb;
BEGIN
  WITH locked AS MATERIALIZED (
    SELECT r.id, r.join_id, r.budget_ids FROM jsonb_array_elements(p_parts) AS p
      JOIN public.runs_run AS r ON r.id = (p ->> 2)::uuid AND r.tenant_id = (p ->> 1)::uuid
      ORDER BY r.id FOR NO KEY UPDATE OF r
  ) SELECT array_agg(id), array_agg(join_id) FILTER (WHERE join_id IS NOT NULL),
      jsonb_agg(budget_ids) INTO v_runs, v_joins, v_budgets FROM locked;
  PERFORM 1 FROM public.policy_budget WHERE id IN (
      SELECT b::uuid FROM jsonb_array_elements(v_budgets) AS own, jsonb_array_elements_text(own) AS b)
    ORDER BY id FOR NO KEY UPDATE;
  v_joins := v_joins || ARRAY(SELECT id FROM public.runs_join
    WHERE run_id = ANY (v_runs) AND want_succeeded IS NOT NULL);
  IF v_joins <> '{}' THEN
    PERFORM 1 FROM public.runs_join WHERE id = ANY (v_joins) ORDER BY id FOR UPDATE;
  END IF;
END $$;

-- Save the super-steps of a group after which nothing but the next one comes (kind `go_on`), all
-- of a tenant in one statement: what `runs_save` does for state running without more. Parts as in
-- `runs_commit`; gives its answers by the part's place, none for a lost lease.
CREATE OR REPLACE FUNCTION runs_go_on(p_parts jsonb) RETURNS jsonb
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  v_tenant uuid;
  v_answers jsonb := '{}';
  v_some jsonb;
BEGIN
  FOR v_tenant IN SELECT DISTINCT (p ->> 1)::uuid FROM jsonb_array_elements(p_parts) AS p
      WHERE p ->> 0 = 'go_on' LOOP
    PERFORM runs_tenant(v_tenant);
    -- Materialized: beneath row-level security a text that is cast where it is compared is no key
    -- of an index, and every run of the tenant would be read.
    WITH part AS MATERIALIZED (
      SELECT n, (p ->> 2)::uuid AS run, (p ->> 3)::bigint AS token, (p ->> 4)::int AS super_step,
        (p ->> 6)::float8 AS ttl, p -> 7 AS head, p -> 8 AS writes, p -> 12 AS events
      FROM jsonb_array_elements(p_parts) WITH ORDINALITY AS e (p, n)
      WHERE p ->> 0 = 'go_on' AND p ->> 1 = v_tenant::text
    ), saved AS (
      UPDATE runs_run AS r SET
          super_step = r.super_step + 1, crashes = 0, due_at = NULL,
          event_seq = r.event_seq + 1 + jsonb_array_length(p.events),
          lease_expires_at = runs_in(p.ttl)
        FROM part AS p
        WHERE r.id = p.run AND r.tenant_id = v_tenant AND r.state = 'running'
          AND r.fencing_token = p.token AND r.super_step = p.super_step AND r.open_tasks = 0
        RETURNING p.n, p.run, p.token, p.head, p.writes, p.events, r.super_step, r.wakeups,
          r.event_seq - jsonb_array_length(p.events) AS seq,
          r.cancel_requested_at IS NOT NULL OR (r.join_id IS NOT NULL
            AND runs_called_off(r.ancestor_ids, r.join_id)) AS cancel
    ), made AS (
      INSERT INTO runs_checkpoint (tenant_id, run_id, super_step, fencing_token, head, writes, told_seq)
        SELECT v_tenant, run, super_step, token, head, writes, seq FROM saved
    ), told AS (
      INSERT INTO runs_runevent (tenant_id, run_id, seq, type, data)
        SELECT v_tenant, run, seq + e.n, e.item ->> 0, e.item -> 1
        FROM saved, jsonb_array_elements(saved.events) WITH ORDINALITY AS e (item, n)
    )
    SELECT jsonb_object_agg(n, jsonb_build_object('called_off', false, 'state', 'running',
      'wakeups', wakeups, 'sent', NULL, 'cancel', cancel)) INTO v_some FROM saved;
    v_answers := v_answers || coalesce(v_some, '{}');
  END LOOP;
  RETURN v_answers;
END $$;

-- Carry out parts [[kind, argument, ...], ...] of several runs, sorted by run, each exactly as
-- its function does it alone: under its own tenant, guarded by its own token, so that a lost
-- lease drops its own part only. All or nothing where one raises; its caller then tries each
-- alone. Where money moves, all rows are locked first. It waits for no
-- lock for long: whoever is stuck must not hold up the other runs.
CREATE OR REPLACE FUNCTION runs_commit(p_parts jsonb, p_moves_money boolean) RETURNS jsonb
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
DECLARE
  p jsonb;
  v_on jsonb;
  v_answers jsonb[] := '{}';
BEGIN
  IF p_moves_money THEN
    PERFORM runs_lock_group(p_parts);
  END IF;
  v_on := runs_go_on(p_parts);
  FOR p IN SELECT * FROM jsonb_array_elements(p_parts) LOOP
    v_answers := array_append(v_answers, CASE p ->> 0
      WHEN 'go_on' THEN v_on -> (cardinality(v_answers) + 1)::text
      WHEN 'claim' THEN runs_claim(
        (p ->> 1)::uuid, (p ->> 2)::uuid, p ->> 3, (p ->> 4)::float8, (p ->> 5)::int)
      WHEN 'claim_task' THEN runs_claim_task(
        (p ->> 1)::uuid, (p ->> 2)::uuid, (p ->> 3)::int, p ->> 4, p ->> 5, (p ->> 6)::float8)
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

