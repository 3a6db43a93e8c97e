-- A run that ends, that is stopped from the outside, or that is called upon.

-- Everything that must be settled when a run ends, or is rewound: open questions, unsent effects,
-- money. A lost call is booked at its estimate, in its own row as in the budgets.
DROP FUNCTION IF EXISTS runs_close(uuid, uuid, uuid[], text);
CREATE OR REPLACE FUNCTION runs_close(
  p_tenant uuid, p_run uuid, p_budgets uuid[], p_actor text,
  p_unsent text DEFAULT 'the run ended before it was sent'
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_effect runs_effect;
  v_withdrawn uuid[];
BEGIN
  IF EXISTS (SELECT FROM policy_approval
      WHERE tenant_id = p_tenant AND run_id = p_run AND state = 'open') THEN
    WITH withdrawn AS (
      UPDATE policy_approval SET state = 'withdrawn', decided_at = clock_timestamp(),
          version = version + 1
        WHERE tenant_id = p_tenant AND run_id = p_run AND state = 'open' RETURNING id, digest, version
    ), decided AS (
      INSERT INTO policy_approvaldecision (tenant_id, approval_id, action, by, name, digest, version, is_final)
        SELECT p_tenant, id, 'withdraw', p_actor, p_actor, digest, version, true FROM withdrawn
    ), audited AS (
      INSERT INTO policy_auditevent (tenant_id, actor, action, subject, detail)
        SELECT p_tenant, p_actor, 'approval.withdrawn', 'approval/' || id, '{}' FROM withdrawn
    ) SELECT array_agg(id) INTO v_withdrawn FROM withdrawn;
    PERFORM policy_notify(p_tenant, w.id, 'approval.withdrawn', '{}') FROM unnest(v_withdrawn) AS w (id);
  END IF;
  -- Most runs leave nothing open: one look tells.
  IF NOT EXISTS (SELECT FROM runs_effect
      WHERE run_id = p_run AND state IN ('held', 'retrying', 'claimed')) THEN
    RETURN;
  END IF;
  WITH unsent AS (
    UPDATE runs_effect SET state = 'failed', error_class = 'cancellation',
        outcome = jsonb_build_object('failed', 'cancellation', 'detail', p_unsent),
        finished_at = clock_timestamp()
      WHERE run_id = p_run AND state IN ('held', 'retrying') RETURNING super_step, task, ordinal, name
  ) INSERT INTO policy_auditevent (tenant_id, actor, action, subject, detail)
    SELECT p_tenant, p_actor, 'effect.failed',
      'effect/' || p_run || '/' || super_step || '/' || task || '/' || ordinal,
      jsonb_build_object('name', name, 'error_class', 'cancellation') FROM unsent;
  FOR v_effect IN SELECT * FROM runs_effect
      WHERE run_id = p_run AND state = 'claimed' ORDER BY super_step, task, ordinal FOR UPDATE
  LOOP
    PERFORM policy_settle(p_tenant, p_budgets, p_run, v_effect.claimed_at,
      v_effect.reserved_cost, v_effect.reserved_tokens,
      v_effect.reserved_cost, v_effect.reserved_tokens,
      (v_effect.kind = 'model')::int, (v_effect.kind = 'tool')::int);
    UPDATE runs_effect SET state = 'unknown', error_class = 'outcome_unknown',
        cost = cost + reserved_cost, reserved_cost = 0,
        output_tokens = output_tokens + reserved_tokens, reserved_tokens = 0,
        estimated = estimated OR reserved_cost + reserved_tokens > 0
      WHERE run_id = p_run AND super_step = v_effect.super_step AND task = v_effect.task
        AND ordinal = v_effect.ordinal;
    PERFORM runs_audit(p_tenant, p_actor, 'effect.unknown',
      'effect/' || p_run || '/' || v_effect.super_step || '/' || v_effect.task || '/' || v_effect.ordinal,
      jsonb_build_object('name', v_effect.name, 'error_class', 'outcome_unknown'));
  END LOOP;
END $$;

-- End a run that nobody holds. Gives its state, or NULL where it is held or has ended.
CREATE OR REPLACE FUNCTION runs_stop(
  p_tenant uuid, p_run uuid, p_state text, p_actor text, p_error_class text, p_detail text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
BEGIN
  PERFORM runs_tenant(p_tenant);
  UPDATE runs_run SET state = p_state, reason = '', due_at = NULL, finished_at = clock_timestamp(),
      error_class = p_error_class, error_detail = p_detail, event_seq = event_seq + 1,
      worker = NULL, lease_expires_at = NULL, queue_at = NULL
    WHERE id = p_run AND tenant_id = p_tenant
      AND state IN ('queued', 'waiting', 'interrupted', 'paused')
    RETURNING * INTO v_run;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  IF v_run.deadline_left IS NOT NULL THEN
    PERFORM runs_start_clock(p_run);
  END IF;
  PERFORM runs_close(p_tenant, p_run, v_run.budget_ids, p_actor);
  PERFORM runs_emit(p_tenant, p_run, v_run.event_seq - 1, jsonb_build_array(jsonb_build_array(
    'run.' || p_state, jsonb_build_object('by', p_actor, 'detail', p_detail))));
  PERFORM runs_audit(p_tenant, p_actor, 'run.' || p_state, 'run/' || p_run,
    jsonb_build_object('detail', p_detail));
  PERFORM runs_tell_family(v_run);
  RETURN v_run.state;
END $$;

-- Append an event to a run's log, whatever its state, and change nothing else of it.
CREATE OR REPLACE FUNCTION runs_tell(p_tenant uuid, p_run uuid, p_event text, p_data jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_seq bigint;
BEGIN
  UPDATE runs_run SET event_seq = event_seq + 1 WHERE id = p_run AND tenant_id = p_tenant
    RETURNING event_seq INTO v_seq;
  PERFORM runs_emit(p_tenant, p_run, v_seq - 1, jsonb_build_array(jsonb_build_array(p_event, p_data)));
END $$;

-- Call upon a run: something it may wait for has happened. A run that is set aside is
-- queued, and goes on or stands at the head of its tenant's line; one that is held will look again
-- before it sets itself aside. Gives what `runs_requeue` gives.
CREATE OR REPLACE FUNCTION runs_wake(p_tenant uuid, p_run uuid, p_event text, p_data jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
  v_before text;
BEGIN
  PERFORM runs_tenant(p_tenant);
  SELECT state INTO v_before FROM runs_run WHERE id = p_run AND tenant_id = p_tenant
    FOR NO KEY UPDATE;
  UPDATE runs_run SET
      wakeups = wakeups + 1, event_seq = event_seq + 1,
      state = CASE WHEN state IN ('waiting', 'interrupted', 'paused') THEN 'queued' ELSE state END,
      reason = '', due_at = CASE WHEN state = 'running' THEN due_at END,
      nudged_at = clock_timestamp()
    WHERE id = p_run AND tenant_id = p_tenant
      AND state IN ('queued', 'running', 'waiting', 'interrupted', 'paused')
      AND NOT (state = 'interrupted' AND reason IN ('poison', 'version'))
    RETURNING * INTO v_run;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  PERFORM runs_emit(p_tenant, p_run, v_run.event_seq - 1,
    jsonb_build_array(jsonb_build_array(p_event, p_data)));
  IF v_run.state <> 'queued' OR v_run.queue_at IS NOT NULL THEN
    RETURN NULL;
  END IF;
  RETURN CASE WHEN v_before = 'queued' THEN runs_nudge(p_tenant, p_run, NULL, '')
    ELSE runs_requeue(p_tenant, p_run) END;
END $$;
