-- Signals: what somebody outside tells a run by name, kept until a task waits for it.

-- Write down that a task waits for a signal, and take the oldest of that name for it. Asked
-- again by the same place, it gives the same signal: {"put": as runs_put_effect,
-- "signal": {"id", "payload"} or null}.
CREATE OR REPLACE FUNCTION runs_take_signal(
  p_tenant uuid, p_run uuid, p_super_step int, p_task text, p_ordinal int,
  p_token bigint, p_lone boolean, p_worker text, p_effect jsonb, p_before jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_put text;
  v_place text := p_super_step || '/' || p_task || '/' || p_ordinal;
  v_signal runs_signal;
BEGIN
  v_put := runs_put_effect(p_tenant, p_run, p_super_step, p_task, p_ordinal, p_token, p_lone,
    p_worker, p_effect, p_before);
  IF v_put <> 'ok' THEN
    RETURN jsonb_build_object('put', v_put, 'signal', NULL);
  END IF;
  UPDATE runs_signal SET taken_by = v_place
    WHERE run_id = p_run AND id = (
      SELECT id FROM runs_signal
      WHERE run_id = p_run AND tenant_id = p_tenant AND name = p_effect ->> 'name'
        AND taken_by IN ('', v_place)
      ORDER BY taken_by DESC, received_at, id LIMIT 1)
    RETURNING * INTO v_signal;
  RETURN jsonb_build_object('put', v_put, 'signal', CASE WHEN v_signal.id IS NOT NULL
    THEN jsonb_build_object('id', v_signal.id, 'payload', v_signal.payload) END);
END $$;
