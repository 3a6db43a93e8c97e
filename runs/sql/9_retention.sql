-- The history of runs that ended long ago is removed; what they came to stays. See ADR 17.

-- Say whether a run's history may go: it ended so many days ago, nothing is asked about it, and
-- nobody above or below it is still at work.
CREATE OR REPLACE FUNCTION runs_may_forget(p_run runs_run, p_days int) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT p_run.finished_at <= clock_timestamp() - make_interval(days => p_days)
    AND p_run.history_removed_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM policy_approval
      WHERE tenant_id = p_run.tenant_id AND run_id = p_run.id AND state = 'open')
    AND NOT EXISTS (SELECT 1 FROM runs_run
      WHERE id = ANY (p_run.ancestor_ids) AND finished_at IS NULL)
    AND NOT EXISTS (SELECT 1 FROM runs_run WHERE parent_id = p_run.id AND finished_at IS NULL)
$$;

-- Find runs whose history may go, by their tenants' settings, the longest ended first. Sees the
-- tenants that the role sees: the system's sees all.
CREATE OR REPLACE FUNCTION runs_forgettable(p_tenant uuid, p_most int)
RETURNS TABLE (tenant_id uuid, run_id uuid, days int) LANGUAGE sql STABLE AS $$
  SELECT r.tenant_id, r.id, t.retention_days
    FROM policy_tenant AS t JOIN runs_run AS r ON r.tenant_id = t.id
    WHERE t.retention_days IS NOT NULL AND (p_tenant IS NULL OR t.id = p_tenant)
      AND r.finished_at <= clock_timestamp() - make_interval(days => t.retention_days)
      AND r.history_removed_at IS NULL AND runs_may_forget(r, t.retention_days)
    ORDER BY r.finished_at, r.id LIMIT p_most
$$;

-- Count what there is to remove of a run: {"checkpoints", "events", "effects"}.
CREATE OR REPLACE FUNCTION runs_history_of(p_run runs_run) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'checkpoints', (SELECT count(*) FROM runs_checkpoint
      WHERE run_id = p_run.id AND super_step < p_run.super_step),
    'events', (SELECT count(*) FROM runs_runevent
      WHERE run_id = p_run.id AND seq < p_run.event_seq)
      + (SELECT count(told_seq) FROM runs_checkpoint WHERE run_id = p_run.id),
    'effects', (SELECT count(*) FROM runs_effect WHERE run_id = p_run.id))
$$;

-- The values of every channel as of a run's newest checkpoint, logs whole.
CREATE OR REPLACE FUNCTION runs_whole(p_run runs_run, p_head jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(jsonb_object_agg(w.key, CASE WHEN coalesce(p_head -> 'logs', '{}') ? w.key
      THEN runs_read_log(p_run.tenant_id, p_run.id, w.key, p_run.super_step)
      ELSE (SELECT c.writes -> w.key FROM runs_checkpoint AS c
        WHERE c.run_id = p_run.id AND c.super_step = w.value::int) END), '{}')
    FROM jsonb_each_text(p_head -> 'written') AS w
$$;

-- Remove the history of an ended run, in one transaction: its newest checkpoint is made whole
-- and stays, so does its last event, and each line of the ledger without what was asked and
-- answered. Gives what was removed, or NULL where it may not be. Needs the system's role: only
-- the owner of the tables may delete from them, and only here.
CREATE OR REPLACE FUNCTION runs_forget(p_tenant uuid, p_run uuid, p_days int, p_actor text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
  v_last runs_checkpoint;
  v_counts jsonb;
BEGIN
  PERFORM runs_tenant(p_tenant);
  SELECT * INTO v_run FROM runs_run
    WHERE id = p_run AND tenant_id = p_tenant FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND OR runs_may_forget(v_run, p_days) IS NOT TRUE THEN
    RETURN NULL;
  END IF;
  v_counts := runs_history_of(v_run);
  SELECT * INTO v_last FROM runs_checkpoint
    WHERE run_id = p_run AND super_step = v_run.super_step;
  v_last.writes := runs_whole(v_run, v_last.head);
  v_last.head := v_last.head - 'skipped' || jsonb_build_object('written',
    (SELECT coalesce(jsonb_object_agg(k, v_run.super_step), '{}') FROM jsonb_object_keys(v_last.writes) AS k));
  v_last.told_seq := NULL;
  PERFORM set_config('agentops.forgetting', p_run::text, true);
  DELETE FROM runs_task WHERE run_id = p_run;
  UPDATE runs_effect SET request = 'null', outcome = NULL,
      attempts = (SELECT coalesce(jsonb_agg(a - 'detail'), '[]') FROM jsonb_array_elements(attempts) AS a)
    WHERE run_id = p_run;
  DELETE FROM runs_signal WHERE run_id = p_run;
  DELETE FROM runs_runevent WHERE run_id = p_run AND seq < v_run.event_seq;
  DELETE FROM runs_checkpoint WHERE run_id = p_run;
  INSERT INTO runs_checkpoint SELECT v_last.*;
  PERFORM set_config('agentops.forgetting', '', true);
  UPDATE runs_run SET history_removed_at = clock_timestamp() WHERE id = p_run;
  PERFORM runs_audit(p_tenant, p_actor, 'run.history_removed', 'run/' || p_run,
    v_counts || jsonb_build_object('days', p_days));
  RETURN v_counts;
END $$;
