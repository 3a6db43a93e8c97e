-- What the engine's statements share: the tenant of a statement, time, events, audit, messages.
--
-- Every statement of the engine is one call of a function in this folder:
--
--   2_beginnings  runs that come into being
--   2_claims    who holds a run; what its holder needs to go on
--   3_ledger    an effect written down before it is sent; what came of it
--   4_endings   a run that ends, is stopped from the outside, or is called upon
--   5_tasks     a super-step of several tasks, held one by one
--   6_saves     everything that happened in a super-step, or nothing
--   7_groups    the same for several runs at once
--   9_children  runs that a run spawns, and waits for
--   approvals   questions to people, and what becomes of them with time
--
-- `manage.py migrate` runs these files again each time, in the order of their names: a
-- function is replaced; one whose parameters changed stands beside the old one, so that
-- workers of the release before go on.
--
-- What is called for every run or super-step is in plpgsql, though one statement: before PostgreSQL
-- 18 the plan of a function in sql is made anew at each call, unless it is put into its caller.
--
-- Every function that does not say that it crosses tenants sets the tenant for its own
-- statement and is bound by row-level security. Every write names the fencing token; none
-- matching means that the lease is lost. Time is the database's clock.
--
-- Lock order: run, family, task, approval, effect, budget, join, outbox.

CREATE OR REPLACE FUNCTION runs_tenant(p_tenant uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_set text := set_config('agentops.tenant_id', p_tenant::text, true);
BEGIN
END $$;

CREATE OR REPLACE FUNCTION runs_in(p_seconds float8) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT clock_timestamp() + make_interval(secs => p_seconds)
$$;

-- A run was set aside. Where its agent says so and a person must act before it goes on, its clock
-- stands still, and what is left of its time is kept. One that is out of time is left to the sweeper.
CREATE OR REPLACE FUNCTION runs_stop_clock(p_run uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE runs_run SET deadline_left = deadline_at - clock_timestamp(), deadline_at = NULL
    WHERE id = p_run AND deadline_stops AND deadline_at > clock_timestamp()
      AND (state = 'interrupted' OR (state = 'paused' AND due_at IS NULL));
END $$;

-- A run whose clock stands still leaves that state: it has the time that was left, but never more
-- than a run above it has now. Reads those above it, and locks none.
CREATE OR REPLACE FUNCTION runs_start_clock(p_run uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE runs_run AS r SET deadline_left = NULL, deadline_at = least(
      clock_timestamp() + r.deadline_left,
      (SELECT min(coalesce(a.deadline_at, clock_timestamp() + a.deadline_left))
        FROM runs_run AS a WHERE a.id = ANY (r.ancestor_ids)))
    WHERE r.id = p_run AND r.deadline_left IS NOT NULL;
END $$;

-- Say whether a child is called off from above: an ancestor has ended or was asked to cancel,
-- or the join that it or an ancestor belongs to is decided. Reads, and locks nothing.
CREATE OR REPLACE FUNCTION runs_called_off(p_ancestors uuid[], p_join uuid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN p_ancestors IS NOT NULL AND (
    EXISTS (SELECT 1 FROM runs_join WHERE id = p_join AND is_over)
    OR EXISTS (
      SELECT 1 FROM runs_run AS r LEFT JOIN runs_join AS j ON j.id = r.join_id
      WHERE r.id = ANY (p_ancestors)
        AND (r.finished_at IS NOT NULL OR r.cancel_requested_at IS NOT NULL OR j.is_over)));
END $$;

-- Append events [[type, data], ...] after p_seq and give the new last number.
CREATE OR REPLACE FUNCTION runs_emit(p_tenant uuid, p_run uuid, p_seq bigint, p_events jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO runs_runevent (tenant_id, run_id, seq, type, data)
    SELECT p_tenant, p_run, p_seq + e.n, e.item ->> 0, e.item -> 1
    FROM jsonb_array_elements(p_events) WITH ORDINALITY AS e (item, n);
END $$;

CREATE OR REPLACE FUNCTION runs_audit(p_tenant uuid, p_actor text, p_action text, p_subject text, p_detail jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO policy_auditevent (tenant_id, actor, action, subject, detail)
    VALUES (p_tenant, p_actor, p_action, p_subject, p_detail);
END $$;

CREATE OR REPLACE FUNCTION runs_nudge(p_tenant uuid, p_run uuid, p_super_step int, p_task text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_left bigint;
BEGIN
  INSERT INTO runs_outboxmessage (tenant_id, run_id, super_step, task)
    VALUES (p_tenant, p_run, p_super_step, p_task) RETURNING id INTO v_left;
  RETURN v_left;
END $$;

-- Remove messages that were sent. Crosses tenants and names nothing but its own numbers.
CREATE OR REPLACE FUNCTION runs_sent(p_ids bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  DELETE FROM public.runs_outboxmessage WHERE id = ANY (p_ids);
END $$;
