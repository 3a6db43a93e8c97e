-- A super-step of several tasks: each held one by one; the last one gets the run back.

CREATE OR REPLACE FUNCTION runs_fan_out(p_tenant uuid, p_run uuid, p_token bigint, p_tasks text[])
RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
  v_step int;
  v_sent bigint[];
BEGIN
  PERFORM runs_tenant(p_tenant);
  UPDATE runs_run SET open_tasks = cardinality(p_tasks), wakeups_seen = wakeups,
      worker = NULL, lease_expires_at = NULL
    WHERE id = p_run AND tenant_id = p_tenant AND state = 'running'
      AND fencing_token = p_token AND open_tasks = 0
    RETURNING super_step INTO v_step;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO runs_task (tenant_id, run_id, super_step, task, state, fencing_token, crashes, nudged_at)
    SELECT p_tenant, p_run, v_step, t, 'pending', 0, 0, clock_timestamp() FROM unnest(p_tasks) AS t
    ON CONFLICT (run_id, super_step, task) DO UPDATE
      SET state = 'pending', result = NULL, nudged_at = clock_timestamp();
  WITH sent AS (
    INSERT INTO runs_outboxmessage (tenant_id, run_id, super_step, task)
      SELECT p_tenant, p_run, v_step, t FROM unnest(p_tasks) AS t RETURNING id
  ) SELECT array_agg(id ORDER BY id) INTO v_sent FROM sent;
  RETURN v_sent;
END $$;

CREATE OR REPLACE FUNCTION runs_claim_task(
  p_tenant uuid, p_run uuid, p_super_step int, p_task text, p_worker text, p_ttl float8
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
  v_task runs_task;
BEGIN
  PERFORM runs_tenant(p_tenant);
  SELECT * INTO v_run FROM runs_run
    WHERE id = p_run AND tenant_id = p_tenant AND state = 'running' AND super_step = p_super_step
    FOR SHARE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  UPDATE runs_task SET
      state = 'running', worker = p_worker, lease_expires_at = runs_in(p_ttl),
      fencing_token = fencing_token + 1, crashes = crashes + (state = 'running')::int
    WHERE run_id = p_run AND super_step = p_super_step AND task = p_task
      AND (state = 'pending' OR (state = 'running' AND lease_expires_at <= clock_timestamp()))
    RETURNING * INTO v_task;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN runs_facts(v_run) || runs_load(p_tenant, p_run, p_super_step)
    || jsonb_build_object('task_token', v_task.fencing_token, 'crashes', v_task.crashes);
END $$;

-- Win a task, as `runs_claim_task`, for a worker that lost the answer of a statement; as
-- `runs_claim_again`.
CREATE OR REPLACE FUNCTION runs_claim_task_again(
  p_tenant uuid, p_run uuid, p_super_step int, p_task text, p_worker text, p_ttl float8,
  p_known_token bigint, p_known jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
  v_token bigint;
BEGIN
  PERFORM runs_tenant(p_tenant);
  SELECT * INTO v_run FROM runs_run
    WHERE id = p_run AND tenant_id = p_tenant AND state = 'running' AND super_step = p_super_step
    FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  SELECT fencing_token INTO v_token FROM runs_task
    WHERE run_id = p_run AND super_step = p_super_step AND task = p_task
      AND state = 'running' AND worker = p_worker
    FOR UPDATE;
  IF FOUND AND runs_is_own(v_run, p_task, v_token, p_known_token) THEN
    PERFORM runs_settle_known(v_run, p_task, p_known_token, p_worker, p_known);
    UPDATE runs_task SET state = 'pending', worker = NULL, lease_expires_at = NULL
      WHERE run_id = p_run AND super_step = p_super_step AND task = p_task;
  END IF;
  RETURN runs_claim_task(p_tenant, p_run, p_super_step, p_task, p_worker, p_ttl);
END $$;

-- Keep a task's result. The last one to finish gets the run: {"last": true, "token": n}.
CREATE OR REPLACE FUNCTION runs_finish_task(
  p_tenant uuid, p_run uuid, p_super_step int, p_task text, p_token bigint,
  p_worker text, p_ttl float8, p_result jsonb, p_effects jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
BEGIN
  PERFORM runs_tenant(p_tenant);
  SELECT * INTO v_run FROM runs_run
    WHERE id = p_run AND tenant_id = p_tenant AND state = 'running' AND super_step = p_super_step
      AND open_tasks > 0
    FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  UPDATE runs_task SET state = 'settled', result = p_result, worker = NULL, lease_expires_at = NULL
    WHERE run_id = p_run AND super_step = p_super_step AND task = p_task
      AND state = 'running' AND fencing_token = p_token;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  PERFORM runs_settle(p_tenant, p_run, p_super_step, v_run.budget_ids, p_worker,
    v_run.event_seq, p_effects);
  UPDATE runs_run SET
      open_tasks = open_tasks - 1, event_seq = event_seq + jsonb_array_length(p_effects),
      fencing_token = fencing_token + (open_tasks = 1)::int,
      worker = CASE WHEN open_tasks = 1 THEN p_worker END,
      lease_expires_at = CASE WHEN open_tasks = 1 THEN runs_in(p_ttl) END
    WHERE id = p_run
    RETURNING * INTO v_run;
  IF v_run.open_tasks > 0 THEN
    RETURN '{"last": false}';
  END IF;
  -- What woke the run since the fan-out is news to it: it must not be set aside for that.
  RETURN runs_facts(v_run) || runs_load(p_tenant, p_run, p_super_step)
    || jsonb_build_object('last', true, 'wakeups', v_run.wakeups_seen);
END $$;
