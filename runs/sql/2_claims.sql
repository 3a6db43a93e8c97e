-- Who holds a run: claimed under a higher token, renewed, freed; and what its holder needs.

-- What a worker needs to go on: the checkpoint, its values, kept results, the ledger.
CREATE OR REPLACE FUNCTION runs_load(p_tenant uuid, p_run uuid, p_super_step int)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_head jsonb;
  v_values jsonb;
BEGIN
  SELECT head INTO v_head FROM runs_checkpoint
    WHERE run_id = p_run AND super_step = p_super_step;
  -- Each value by the key of its row: a join is free to read all checkpoints of the run, and a
  -- text that is cast where it is compared is no key of an index beneath row-level security.
  SELECT jsonb_object_agg(w.key, (SELECT c.writes -> w.key FROM runs_checkpoint AS c
      WHERE c.run_id = p_run AND c.super_step = w.step)) INTO v_values
    FROM (SELECT key, value::int AS step FROM jsonb_each_text(v_head -> 'written')
      WHERE v_head -> 'logs' IS NULL OR NOT v_head -> 'logs' ? key OFFSET 0) AS w;
  RETURN jsonb_build_object(
    'head', v_head,
    'values', coalesce(v_values, '{}'),
    'kept', (SELECT jsonb_object_agg(task, result) FROM runs_task
      WHERE run_id = p_run AND super_step = p_super_step AND state = 'settled'),
    'ledger', (SELECT jsonb_agg(jsonb_build_object(
        'task', e.task, 'ordinal', e.ordinal, 'effect', e.effect, 'digest', e.digest, 'state', e.state,
        'attempt', e.attempt, 'outcome', e.outcome,
        'approval', a.state, 'approval_digest', a.digest, 'approval_policy', a.policy_version,
        'approval_by', a.decided_by, 'approval_reason', a.decision_reason,
        'approval_result', a.result, 'corrections', a.corrections,
        'approval_arguments', CASE WHEN a.proposed IS NOT NULL OR a.kind = 'answer'
          THEN a.arguments END))
      FROM runs_effect AS e LEFT JOIN policy_approval AS a ON a.id = e.approval_id
      WHERE e.run_id = p_run AND e.super_step = p_super_step));
END $$;

-- A run's own facts, as the worker needs them.
CREATE OR REPLACE FUNCTION runs_facts(p_run runs_run) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT jsonb_build_object(
      'tenant', t.slug, 'policy', t.policy_version_id,
      'roles', to_jsonb(p.roles), 'scopes', to_jsonb(p.scopes),
      'spent', (b.cost_spent + b.cost_overdraft)::text, 'calls', b.tool_calls_spent + b.tool_calls_reserved,
      'agent_version', p_run.agent_version_id, 'agent', p_run.agent_name,
      'principal', p_run.principal_id, 'started_by', p_run.started_by,
      'super_step', p_run.super_step, 'wakeups', p_run.wakeups, 'token', p_run.fencing_token,
      'deadline', extract(epoch FROM p_run.deadline_at),
      'now', extract(epoch FROM clock_timestamp()),
      'cancel', p_run.cancel_requested_at IS NOT NULL
        OR runs_called_off(p_run.ancestor_ids, p_run.join_id),
      'above', CASE WHEN p_run.parent_id IS NOT NULL THEN (
        SELECT jsonb_agg(agent_version_id) FROM runs_run WHERE id = ANY (p_run.ancestor_ids)) END)
    FROM policy_tenant AS t
    LEFT JOIN policy_principal AS p ON p.id = p_run.principal_id
    LEFT JOIN policy_budget AS b ON b.id = p_run.budget_ids[1]
    WHERE t.id = p_run.tenant_id);
END $$;

-- A log channel as of a super-step, oldest item first. What a rewind left behind is skipped.
CREATE OR REPLACE FUNCTION runs_read_log(p_tenant uuid, p_run uuid, p_channel text, p_upto int)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_skipped jsonb;
BEGIN
  PERFORM runs_tenant(p_tenant);
  SELECT head -> 'skipped' INTO v_skipped FROM runs_checkpoint
    WHERE run_id = p_run AND super_step <= p_upto ORDER BY super_step DESC LIMIT 1;
  RETURN (SELECT coalesce(jsonb_agg(i.item ORDER BY c.super_step, i.n), '[]')
    FROM runs_checkpoint AS c,
      jsonb_array_elements(c.writes -> p_channel) WITH ORDINALITY AS i (item, n)
    WHERE c.run_id = p_run AND c.super_step <= p_upto AND c.writes ? p_channel
      AND (v_skipped IS NULL OR NOT EXISTS (SELECT FROM jsonb_array_elements(v_skipped) AS gap
        WHERE c.super_step BETWEEN (gap ->> 0)::int AND (gap ->> 1)::int)));
END $$;

-- Win a run's lease: a run that is queued and was admitted, or whose holder is gone. One that is
-- called off from above need not be admitted: it only ends.
CREATE OR REPLACE FUNCTION runs_claim(p_tenant uuid, p_run uuid, p_worker text, p_ttl float8, p_crash_limit int)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
BEGIN
  PERFORM runs_tenant(p_tenant);
  UPDATE runs_run SET
      state = 'running', worker = p_worker, lease_expires_at = runs_in(p_ttl),
      fencing_token = fencing_token + 1, due_at = NULL, queue_at = NULL,
      crashes = crashes + (state = 'running' AND lease_expires_at IS NOT NULL)::int,
      started_at = coalesce(started_at, clock_timestamp()),
      event_seq = event_seq + (fencing_token = 0)::int
    WHERE id = p_run AND tenant_id = p_tenant AND (
      (state = 'queued' AND (queue_at IS NULL
        OR (join_id IS NOT NULL AND runs_called_off(ancestor_ids, join_id))))
      OR (state = 'running' AND open_tasks = 0
        AND (lease_expires_at IS NULL OR lease_expires_at <= clock_timestamp())))
    RETURNING * INTO v_run;
  IF NOT FOUND THEN
    -- What its children did, or what befell those above it, nobody may write into its row:
    -- whoever is sent to look queues it, and claims it then.
    UPDATE runs_run SET state = 'queued', reason = '', due_at = NULL
      WHERE id = p_run AND tenant_id = p_tenant AND state IN ('waiting', 'interrupted', 'paused')
        AND ((join_id IS NOT NULL AND runs_called_off(ancestor_ids, join_id))
          OR (reason NOT IN ('poison', 'version') AND runs_has_joined(id)));
    IF FOUND THEN
      PERFORM runs_start_clock(p_run);
      RETURN runs_claim(p_tenant, p_run, p_worker, p_ttl, p_crash_limit);
    END IF;
    RETURN NULL;
  END IF;
  -- What it waited for before it may not ask for this time: what it does is wanted anew.
  IF v_run.fencing_token > 1 THEN
    UPDATE runs_join SET want_succeeded = NULL, want_failed = NULL
      WHERE run_id = p_run AND want_succeeded IS NOT NULL;
  ELSE
    PERFORM runs_emit(p_tenant, p_run, v_run.event_seq - 1, jsonb_build_array(
      jsonb_build_array('run.started', jsonb_build_object('worker', p_worker))));
  END IF;
  IF v_run.crashes >= p_crash_limit AND v_run.cancel_requested_at IS NULL
    AND (v_run.join_id IS NULL OR NOT runs_called_off(v_run.ancestor_ids, v_run.join_id)) THEN
    UPDATE runs_run SET state = 'interrupted', reason = 'poison', worker = NULL,
        lease_expires_at = NULL, event_seq = event_seq + 1
      WHERE id = p_run;
    PERFORM runs_stop_clock(p_run);
    PERFORM runs_emit(p_tenant, p_run, v_run.event_seq, jsonb_build_array(
      jsonb_build_array('run.parked', jsonb_build_object('reason', 'poison', 'crashes', v_run.crashes))));
    PERFORM runs_audit(p_tenant, 'worker:' || p_worker, 'run.parked', 'run/' || p_run,
      jsonb_build_object('reason', 'poison', 'crashes', v_run.crashes));
    RETURN NULL;
  END IF;
  RETURN runs_facts(v_run) || runs_load(p_tenant, p_run, v_run.super_step);
END $$;

-- Say whether a worker may take its own lease on a run ('') or a task once more. It is the one that
-- the worker knows of (p_known_token). Where its claim itself was lost it knows none: then nothing
-- may be under way beneath the lease, for that would be another thread's.
CREATE OR REPLACE FUNCTION runs_is_own(
  p_run runs_run, p_task text, p_token bigint, p_known_token bigint
) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN p_token = p_known_token OR (p_known_token IS NULL AND NOT EXISTS (
    SELECT 1 FROM runs_effect WHERE run_id = p_run.id AND super_step = p_run.super_step
      AND p_task IN ('', task) AND fencing_token = p_token AND state = 'claimed'));
END $$;

-- Write down what a worker knows of effects that were written down under its lease, where nothing
-- is written of what came of them: what was, was by a statement whose answer it never heard.
CREATE OR REPLACE FUNCTION runs_settle_known(
  p_run runs_run, p_task text, p_token bigint, p_worker text, p_known jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_news jsonb;
BEGIN
  SELECT coalesce(jsonb_agg(k), '[]') INTO v_news FROM jsonb_array_elements(p_known) AS k
    WHERE EXISTS (SELECT 1 FROM runs_effect
      WHERE run_id = p_run.id AND super_step = p_run.super_step
        AND task = k ->> 'task' AND ordinal = (k ->> 'ordinal')::int
        AND p_task IN ('', task) AND fencing_token = p_token AND state = 'claimed');
  PERFORM runs_settle(p_run.tenant_id, p_run.id, p_run.super_step, p_run.budget_ids, p_worker,
    p_run.event_seq, v_news);
  UPDATE runs_run SET event_seq = event_seq + jsonb_array_length(v_news) WHERE id = p_run.id;
END $$;

-- Win a run, as `runs_claim`, for a worker that lost the answer of a statement: also the one that it
-- holds itself, at once. Nothing crashed, so nothing is counted.
CREATE OR REPLACE FUNCTION runs_claim_again(
  p_tenant uuid, p_run uuid, p_worker text, p_ttl float8, p_crash_limit int,
  p_known_token bigint, p_known jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
BEGIN
  PERFORM runs_tenant(p_tenant);
  SELECT * INTO v_run FROM runs_run
    WHERE id = p_run AND tenant_id = p_tenant AND state = 'running' AND worker = p_worker
      AND open_tasks = 0
    FOR NO KEY UPDATE;
  IF FOUND AND runs_is_own(v_run, '', v_run.fencing_token, p_known_token) THEN
    PERFORM runs_settle_known(v_run, '', p_known_token, p_worker, p_known);
    UPDATE runs_run SET lease_expires_at = NULL WHERE id = p_run;
  END IF;
  RETURN runs_claim(p_tenant, p_run, p_worker, p_ttl, p_crash_limit);
END $$;

-- Renew leases [[tenant, run, super_step, task, token], ...]; task '' is the run's own.
-- Gives {"lost": [n, ...], "cancelled": [n, ...]}: which of them (counted from 0) belong to
-- somebody else now, and which are of a run that somebody asked to cancel. A row that
-- another statement holds just now is not renewed in this round, and is not lost for that.
-- Crosses tenants, so it runs with the owner's rights and matches whole triples.
CREATE OR REPLACE FUNCTION runs_renew(p_ttl float8, p_leases jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  WITH wanted AS (
    SELECT (l ->> 0)::uuid AS tenant, (l ->> 1)::uuid AS run, (l ->> 4)::bigint AS token
    FROM jsonb_array_elements(p_leases) AS l WHERE l ->> 3 = ''
  )
  UPDATE public.runs_run AS r SET lease_expires_at = public.runs_in(p_ttl) FROM (
      SELECT r.id, w.token, w.tenant FROM wanted AS w
      JOIN public.runs_run AS r ON r.id = w.run ORDER BY r.id FOR NO KEY UPDATE OF r SKIP LOCKED
    ) AS w
    WHERE r.id = w.id AND r.tenant_id = w.tenant AND r.fencing_token = w.token
      AND r.state = 'running' AND r.open_tasks = 0;
  WITH wanted AS (
    SELECT (l ->> 0)::uuid AS tenant, (l ->> 1)::uuid AS run, (l ->> 2)::int AS step,
      l ->> 3 AS task, (l ->> 4)::bigint AS token
    FROM jsonb_array_elements(p_leases) AS l WHERE l ->> 3 <> ''
  )
  UPDATE public.runs_task AS t SET lease_expires_at = public.runs_in(p_ttl) FROM (
      SELECT t.run_id, t.super_step, t.task, w.token, w.tenant FROM wanted AS w
      JOIN public.runs_task AS t ON t.run_id = w.run AND t.super_step = w.step AND t.task = w.task
      ORDER BY 1, 2, 3 FOR NO KEY UPDATE OF t SKIP LOCKED
    ) AS w
    WHERE t.run_id = w.run_id AND t.super_step = w.super_step AND t.task = w.task
      AND t.tenant_id = w.tenant AND t.fencing_token = w.token AND t.state = 'running';
  RETURN (
    WITH seen AS (
      SELECT w.n - 1 AS n, r.cancel_requested_at IS NOT NULL
          OR public.runs_called_off(r.ancestor_ids, r.join_id) AS cancelled,
        CASE WHEN w.l ->> 3 = '' THEN r.fencing_token = (w.l ->> 4)::bigint AND r.open_tasks = 0
          ELSE t.fencing_token = (w.l ->> 4)::bigint AND t.state = 'running' END AS is_ours
      FROM jsonb_array_elements(p_leases) WITH ORDINALITY AS w (l, n)
      LEFT JOIN public.runs_run AS r ON r.id = (w.l ->> 1)::uuid
        AND r.tenant_id = (w.l ->> 0)::uuid AND r.state = 'running'
      LEFT JOIN public.runs_task AS t ON t.run_id = r.id
        AND t.super_step = (w.l ->> 2)::int AND t.task = w.l ->> 3 AND r.super_step = t.super_step
    )
    SELECT jsonb_build_object(
      'lost', coalesce(jsonb_agg(n) FILTER (WHERE is_ours IS NOT TRUE), '[]'),
      'cancelled', coalesce(jsonb_agg(n) FILTER (WHERE is_ours AND cancelled), '[]'))
    FROM seen);
END $$;

-- Give a lease back unfinished: the run is queued, or the task pending, and its next holder
-- need not wait. Nothing crashed, so nothing is counted. Gives the message's number, or NULL
-- where somebody else holds it.
CREATE OR REPLACE FUNCTION runs_release(
  p_tenant uuid, p_run uuid, p_super_step int, p_task text, p_token bigint,
  p_worker text, p_effects jsonb
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
  v_new int := jsonb_array_length(p_effects) + 1;
BEGIN
  PERFORM runs_tenant(p_tenant);
  SELECT * INTO v_run FROM runs_run
    WHERE id = p_run AND tenant_id = p_tenant AND state = 'running' AND super_step = p_super_step
      AND (p_task <> '' OR (fencing_token = p_token AND open_tasks = 0))
    FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  IF p_task <> '' THEN
    UPDATE runs_task SET state = 'pending', worker = NULL, lease_expires_at = NULL,
        nudged_at = clock_timestamp()
      WHERE run_id = p_run AND super_step = p_super_step AND task = p_task
        AND state = 'running' AND fencing_token = p_token;
    IF NOT FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
  UPDATE runs_run SET
      state = CASE WHEN p_task = '' THEN 'queued' ELSE state END,
      worker = CASE WHEN p_task <> '' THEN worker END,
      lease_expires_at = CASE WHEN p_task <> '' THEN lease_expires_at END,
      nudged_at = CASE WHEN p_task = '' THEN clock_timestamp() ELSE nudged_at END,
      event_seq = event_seq + v_new
    WHERE id = p_run;
  PERFORM runs_settle(p_tenant, p_run, p_super_step, v_run.budget_ids, p_worker,
    v_run.event_seq, p_effects);
  PERFORM runs_emit(p_tenant, p_run, v_run.event_seq + v_new - 1, jsonb_build_array(
    jsonb_build_array('run.released', jsonb_build_object('worker', p_worker, 'task', p_task))));
  RETURN CASE WHEN p_task = '' THEN runs_nudge(p_tenant, p_run, NULL, '')
    ELSE runs_nudge(p_tenant, p_run, p_super_step, p_task) END;
END $$;

-- A worker was seen to die: end its leases now instead of waiting for them, and nudge what
-- it held (dated back, so that the relay sends it in its next round). What has cost a worker
-- before waits a second longer each time, so that bad luck is not soon taken for poison. Locks
-- in the order of the ids, as group commits do. Crosses tenants.
CREATE OR REPLACE FUNCTION runs_bury(p_worker text) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  v_runs int;
  v_tasks int;
BEGIN
  DELETE FROM public.runs_workerslots WHERE worker = p_worker;
  WITH held AS (
    SELECT id FROM public.runs_run
      WHERE state = 'running' AND finished_at IS NULL AND worker = p_worker
        AND lease_expires_at > clock_timestamp()
      ORDER BY id FOR NO KEY UPDATE
  ), freed AS (
    UPDATE public.runs_run
      SET lease_expires_at = least(lease_expires_at, public.runs_in(crashes)), nudged_at = NULL
      WHERE id IN (SELECT id FROM held)
      RETURNING tenant_id, id
  ), nudged AS (
    INSERT INTO public.runs_outboxmessage (tenant_id, run_id, task, created_at)
      SELECT tenant_id, id, '', clock_timestamp() - interval '1 hour' FROM freed RETURNING 1
  ) SELECT count(*) INTO v_runs FROM nudged;
  WITH held AS (
    SELECT run_id, super_step, task FROM public.runs_task
      WHERE state = 'running' AND result IS NULL AND worker = p_worker
        AND lease_expires_at > clock_timestamp()
      ORDER BY run_id, super_step, task FOR NO KEY UPDATE
  ), freed AS (
    UPDATE public.runs_task
      SET lease_expires_at = least(lease_expires_at, public.runs_in(crashes)), nudged_at = NULL
      WHERE (run_id, super_step, task) IN (SELECT run_id, super_step, task FROM held)
      RETURNING tenant_id, run_id, super_step, task
  ), nudged AS (
    INSERT INTO public.runs_outboxmessage (tenant_id, run_id, super_step, task, created_at)
      SELECT tenant_id, run_id, super_step, task, clock_timestamp() - interval '1 hour'
      FROM freed RETURNING 1
  ) SELECT count(*) INTO v_tasks FROM nudged;
  RETURN v_runs + v_tasks;
END $$;
