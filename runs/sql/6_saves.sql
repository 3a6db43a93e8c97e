-- Everything that happened in a super-step, or nothing.

-- Everything that happened, in one commit. Without p_head no checkpoint is made: the run
-- is set aside (p_state waiting, interrupted, paused) or ends.
-- One that lacks money looks again when a period of a budget above it ends.
-- A run that was called upon since it was claimed is not set aside but queued again; one that was
-- to be cancelled for a reason (its budget) is not saved, and its holder is told.
CREATE OR REPLACE FUNCTION runs_save(
  p_tenant uuid, p_run uuid, p_token bigint, p_super_step int, p_worker text, p_ttl float8,
  p_head jsonb, p_writes jsonb, p_state text, p_wakeups int, p_more jsonb, p_events jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
  v_effects jsonb := coalesce(p_more -> 'effects', '[]');
  v_new int := jsonb_array_length(coalesce(p_more -> 'effects', '[]'))
    + (p_head IS NOT NULL)::int + jsonb_array_length(p_events);
  v_sent bigint;
  v_others jsonb;
BEGIN
  PERFORM runs_tenant(p_tenant);
  UPDATE runs_run SET
      state = CASE WHEN p_state IN ('waiting', 'interrupted', 'paused') AND wakeups <> p_wakeups
        THEN 'queued' ELSE p_state END,
      reason = CASE WHEN p_state IN ('waiting', 'interrupted', 'paused') AND wakeups = p_wakeups
        THEN p_more ->> 'reason' ELSE '' END,
      due_at = CASE WHEN p_state IN ('waiting', 'interrupted', 'paused') AND wakeups = p_wakeups
        THEN CASE WHEN p_more ->> 'reason' = 'budget' AND p_more ->> 'due' IS NULL
          THEN policy_next_period(p_tenant, budget_ids)
          ELSE to_timestamp((p_more ->> 'due')::float8) END END,
      super_step = super_step + (p_head IS NOT NULL)::int,
      crashes = 0,
      event_seq = event_seq + v_new,
      worker = CASE WHEN p_state = 'running' THEN worker END,
      lease_expires_at = CASE WHEN p_state = 'running' THEN runs_in(p_ttl) END,
      nudged_at = CASE WHEN p_state = 'running' THEN nudged_at ELSE clock_timestamp() END,
      output = CASE WHEN p_more ? 'output' THEN p_more -> 'output' ELSE output END,
      error_class = coalesce(p_more ->> 'error_class', error_class),
      error_detail = coalesce(p_more ->> 'error_detail', error_detail),
      finished_at = CASE WHEN p_state IN ('succeeded', 'failed', 'cancelled', 'expired')
        THEN clock_timestamp() END
    WHERE id = p_run AND tenant_id = p_tenant AND state = 'running'
      AND fencing_token = p_token AND super_step = p_super_step AND open_tasks = 0
      AND (p_state NOT IN ('succeeded', 'waiting', 'interrupted', 'paused')
        OR (cancel_requested_at IS NULL
          AND (join_id IS NULL OR NOT runs_called_off(ancestor_ids, join_id))))
      AND (p_state <> 'cancelled' OR NOT p_more ? 'reason' OR wakeups = p_wakeups)
    RETURNING * INTO v_run;
  IF NOT FOUND THEN
    -- Called off meanwhile: whoever holds the run is told, and saves its end instead. Or called
    -- upon, and it sets the run aside.
    SELECT * INTO v_run FROM runs_run
      WHERE id = p_run AND tenant_id = p_tenant AND state = 'running'
        AND fencing_token = p_token AND super_step = p_super_step AND open_tasks = 0;
    RETURN CASE WHEN FOUND THEN jsonb_build_object('called_off', p_state <> 'cancelled',
      'called_upon', p_state = 'cancelled', 'state', v_run.state,
      'wakeups', v_run.wakeups, 'sent', NULL, 'cancel', true) END;
  END IF;
  IF p_head IS NOT NULL THEN
    INSERT INTO runs_checkpoint (tenant_id, run_id, super_step, fencing_token, head, writes, told_seq)
      VALUES (p_tenant, p_run, p_super_step + 1, p_token, p_head, p_writes,
        v_run.event_seq - jsonb_array_length(p_events));
  END IF;
  IF jsonb_array_length(v_effects) > 0 THEN
    PERFORM runs_settle(p_tenant, p_run, p_super_step, v_run.budget_ids, p_worker,
      v_run.event_seq - v_new, v_effects);
  END IF;
  IF p_more ? 'kept' THEN
    INSERT INTO runs_task (tenant_id, run_id, super_step, task, state, fencing_token, crashes, result)
      SELECT p_tenant, p_run, p_super_step, k.key, 'settled', 0, 0, k.value
      FROM jsonb_each(p_more -> 'kept') AS k
      ON CONFLICT (run_id, super_step, task) DO UPDATE SET state = 'settled', result = excluded.result;
  END IF;
  PERFORM runs_emit(p_tenant, p_run, v_run.event_seq - jsonb_array_length(p_events), p_events);
  IF v_run.finished_at IS NOT NULL THEN
    PERFORM runs_close(p_tenant, p_run, v_run.budget_ids, 'worker:' || p_worker);
    PERFORM runs_audit(p_tenant, 'worker:' || p_worker, 'run.' || v_run.state, 'run/' || p_run,
      jsonb_build_object('super_step', v_run.super_step, 'error_class', v_run.error_class));
    v_others := runs_tell_family(v_run);
  ELSIF v_run.state <> 'running' THEN
    IF v_run.state <> 'queued' AND v_run.reason NOT IN ('poison', 'version')
        AND runs_has_joined_locked(p_run) THEN
      UPDATE runs_run SET state = 'queued', reason = '', due_at = NULL WHERE id = p_run
        RETURNING * INTO v_run;
    END IF;
    IF v_run.deadline_stops AND v_run.state IN ('interrupted', 'paused') THEN
      PERFORM runs_stop_clock(p_run);
    END IF;
    IF v_run.state <> 'queued' THEN
      PERFORM runs_audit(p_tenant, 'worker:' || p_worker, 'run.' || v_run.state, 'run/' || p_run,
        jsonb_build_object('reason', v_run.reason, 'super_step', v_run.super_step));
    ELSE
      v_sent := runs_nudge(p_tenant, p_run, NULL, '');
    END IF;
  END IF;
  RETURN jsonb_build_object('called_off', false, 'state', v_run.state,
    'wakeups', v_run.wakeups, 'sent', v_sent,
    'cancel', v_run.cancel_requested_at IS NOT NULL
      OR (v_run.join_id IS NOT NULL AND runs_called_off(v_run.ancestor_ids, v_run.join_id)),
    'others', v_others);
END $$;
