-- The effect ledger: written before an effect is sent, settled after, money with both.

-- Record what came of effects, release and book their money; one event for each.
CREATE OR REPLACE FUNCTION runs_settle(p_tenant uuid, p_run uuid, p_super_step int, p_budgets uuid[],
  p_worker text, p_seq bigint, p_effects jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_item jsonb;
  v_old runs_effect;
  v_place text;
  v_events jsonb := '[]';
BEGIN
  FOR v_item IN SELECT * FROM jsonb_array_elements(p_effects) LOOP
    SELECT * INTO v_old FROM runs_effect
      WHERE run_id = p_run AND super_step = p_super_step
        AND task = v_item ->> 'task' AND ordinal = (v_item ->> 'ordinal')::int
      FOR UPDATE;
    UPDATE runs_effect SET
        state = v_item ->> 'state',
        outcome = v_item -> 'outcome',
        error_class = coalesce(v_item ->> 'error_class', ''),
        attempts = CASE
          WHEN v_item ? 'found' THEN attempts || jsonb_build_array(v_item -> 'found')
          WHEN v_item ? 'attempt_failed' THEN attempts || jsonb_build_array(v_item -> 'attempt_failed')
          ELSE attempts END,
        cost = cost + (v_item ->> 'cost')::numeric,
        input_tokens = input_tokens + (v_item ->> 'input_tokens')::bigint,
        output_tokens = output_tokens + (v_item ->> 'output_tokens')::bigint,
        price_version = coalesce(v_item ->> 'price_version', price_version),
        estimated = estimated OR v_item ? 'estimated',
        reserved_cost = 0, reserved_tokens = 0,
        finished_at = CASE WHEN v_item ->> 'state' IN ('done', 'failed') THEN clock_timestamp() END
      WHERE run_id = p_run AND super_step = p_super_step
        AND task = v_old.task AND ordinal = v_old.ordinal;
    IF v_old.state = 'claimed' THEN
      PERFORM policy_settle(p_tenant, p_budgets, p_run, v_old.claimed_at,
        v_old.reserved_cost, v_old.reserved_tokens,
        (v_item ->> 'cost')::numeric,
        (v_item ->> 'input_tokens')::bigint + (v_item ->> 'output_tokens')::bigint,
        (v_old.kind = 'model')::int, (v_old.kind = 'tool')::int);
    END IF;
    v_place := p_run || '/' || p_super_step || '/' || v_old.task || '/' || v_old.ordinal;
    IF v_item ? 'found' THEN
      PERFORM runs_audit(p_tenant, 'worker:' || p_worker, 'effect.reconciled', 'effect/' || v_place,
        jsonb_build_object('name', v_old.name, 'digest', v_old.digest) || (v_item -> 'found'));
    END IF;
    PERFORM runs_audit(p_tenant, 'worker:' || p_worker, 'effect.' || (v_item ->> 'state'), 'effect/' || v_place,
      jsonb_build_object('name', v_old.name, 'digest', v_old.digest,
        'error_class', coalesce(v_item ->> 'error_class', ''), 'cost', v_item -> 'cost'));
    v_events := v_events || jsonb_build_array(jsonb_build_array('effect.' || (v_item ->> 'state'),
      jsonb_build_object('key', v_place, 'kind', v_old.kind, 'name', v_old.name,
        'error_class', coalesce(v_item ->> 'error_class', ''))));
  END LOOP;
  PERFORM runs_emit(p_tenant, p_run, p_seq, v_events);
END $$;

-- Say whether a call at another place compensates an effect, or did. The effect's own row is
-- locked, so that of two who ask at once one is told.
CREATE OR REPLACE FUNCTION runs_is_compensated(
  p_tenant uuid, p_effect text, p_run uuid, p_super_step int, p_task text, p_ordinal int
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM runs_effect WHERE run_id = split_part(p_effect, '/', 1)::uuid
    AND super_step = split_part(p_effect, '/', 2)::int AND task = split_part(p_effect, '/', 3)
    AND ordinal = split_part(p_effect, '/', 4)::int FOR UPDATE;
  RETURN EXISTS (SELECT 1 FROM runs_effect
    WHERE tenant_id = p_tenant AND compensates = p_effect
      AND (state <> 'failed' OR outcome -> 'in_doubt' = 'true')
      AND (run_id, super_step, task, ordinal) <> (p_run, p_super_step, p_task, p_ordinal));
END $$;

-- Say which unit a call lacks though everything that others have set aside came back: what the
-- task's own lost calls hold is given back only when it comes to them again, after this one.
CREATE OR REPLACE FUNCTION runs_lacks_for_good(
  p_run runs_run, p_super_step int, p_task text, p_token bigint, p_wanted jsonb
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_lost record;
BEGIN
  SELECT coalesce(sum(reserved_cost), 0) AS cost, coalesce(sum(reserved_tokens), 0)::bigint AS tokens
    INTO v_lost FROM runs_effect
    WHERE run_id = p_run.id AND super_step = p_super_step AND task = p_task
      AND state = 'claimed' AND fencing_token < p_token;
  RETURN (SELECT min(policy_lacks(b, (p_wanted ->> 'cost')::numeric + v_lost.cost,
      (p_wanted ->> 'tokens')::bigint + v_lost.tokens,
      (p_wanted ->> 'model_calls')::bigint, (p_wanted ->> 'tool_calls')::bigint, true))
    FROM policy_budget AS b WHERE b.tenant_id = p_run.tenant_id AND b.id = ANY (p_run.budget_ids));
END $$;

-- Say which budgets above a run a call does not fit in though every call under way cost nothing,
-- and what they have left of that unit: [{"scope", "unit", "left"}, ...]. Reads, and locks nothing.
CREATE OR REPLACE FUNCTION runs_lacking(p_tenant uuid, p_run uuid, p_wanted jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM runs_tenant(p_tenant);
  RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object('scope', b.scope, 'unit', lacks.unit,
      'left', (CASE lacks.unit
        WHEN 'cost' THEN b.cost_limit - b.cost_lapsed - b.cost_spent
        WHEN 'tokens' THEN b.tokens_limit - b.tokens_lapsed - b.tokens_spent
        WHEN 'model_calls' THEN b.model_calls_limit - b.model_calls_lapsed
          - b.model_calls_spent - b.model_calls_reserved
        ELSE b.tool_calls_limit - b.tool_calls_lapsed
          - b.tool_calls_spent - b.tool_calls_reserved END)::text)
      ORDER BY array_position(r.budget_ids, b.id)), '[]')
    FROM runs_run AS r JOIN policy_budget AS b
      ON b.tenant_id = p_tenant AND b.id = ANY (r.budget_ids)
    CROSS JOIN LATERAL (SELECT policy_lacks(b, (p_wanted ->> 'cost')::numeric,
      (p_wanted ->> 'tokens')::bigint, (p_wanted ->> 'model_calls')::bigint,
      (p_wanted ->> 'tool_calls')::bigint, true) AS unit) AS lacks
    WHERE r.id = p_run AND r.tenant_id = p_tenant AND lacks.unit IS NOT NULL);
END $$;

-- Write an effect down before it is sent (or why it is not), and set its money aside.
-- Gives: ok | lease_lost | cancelled | deadline | compensated | reserved | <unit that the budget lacks>
CREATE OR REPLACE FUNCTION runs_put_effect(
  p_tenant uuid, p_run uuid, p_super_step int, p_task text, p_ordinal int,
  p_token bigint, p_lone boolean, p_worker text, p_effect jsonb, p_before jsonb
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
  v_state text := p_effect ->> 'state';
  v_reserve jsonb := coalesce(p_effect -> 'reserve', '{}');
  v_old runs_effect;
  v_lacking text;
  v_reserved_at timestamptz;
  v_approval uuid;
  v_place text := p_run || '/' || p_super_step || '/' || p_task || '/' || p_ordinal;
  v_begins boolean := p_effect ->> 'state' = 'claimed' OR p_effect ->> 'kind' = 'child';
  v_events jsonb := '[]';
BEGIN
  PERFORM runs_tenant(p_tenant);
  SELECT * INTO v_run FROM runs_run
    WHERE id = p_run AND tenant_id = p_tenant AND state = 'running' AND super_step = p_super_step
      AND (NOT p_lone OR (fencing_token = p_token AND open_tasks = 0))
    FOR NO KEY UPDATE;
  IF FOUND AND NOT p_lone THEN
    PERFORM 1 FROM runs_task WHERE run_id = p_run AND super_step = p_super_step AND task = p_task
      AND state = 'running' AND fencing_token = p_token FOR UPDATE;
  END IF;
  IF NOT FOUND THEN
    RETURN 'lease_lost';
  END IF;
  IF jsonb_array_length(p_before) > 0 THEN
    PERFORM runs_settle(p_tenant, p_run, p_super_step, v_run.budget_ids, p_worker,
      v_run.event_seq, p_before);
    v_run.event_seq := v_run.event_seq + jsonb_array_length(p_before);
    UPDATE runs_run SET event_seq = v_run.event_seq WHERE id = p_run;
  END IF;
  IF v_begins AND (v_run.cancel_requested_at IS NOT NULL
    OR (v_run.join_id IS NOT NULL AND runs_called_off(v_run.ancestor_ids, v_run.join_id))) THEN
    RETURN 'cancelled';
  END IF;
  IF v_begins AND v_run.deadline_at <= clock_timestamp() THEN
    RETURN 'deadline';
  END IF;
  IF p_effect ? 'compensates' AND v_state <> 'failed' AND runs_is_compensated(
      p_tenant, p_effect ->> 'compensates', p_run, p_super_step, p_task, p_ordinal) THEN
    RETURN 'compensated';
  END IF;
  SELECT * INTO v_old FROM runs_effect
    WHERE run_id = p_run AND super_step = p_super_step AND task = p_task AND ordinal = p_ordinal
    FOR UPDATE;
  IF v_old.state = 'claimed' THEN
    -- The attempt before this one is lost: nobody will ever say what it cost, so it is
    -- settled by its estimate, the amount that was set aside for it.
    PERFORM policy_settle(p_tenant, v_run.budget_ids, p_run, v_old.claimed_at,
      v_old.reserved_cost, v_old.reserved_tokens,
      v_old.reserved_cost, v_old.reserved_tokens,
      (v_old.kind = 'model')::int, (v_old.kind = 'tool')::int);
    UPDATE runs_effect SET cost = cost + reserved_cost, reserved_cost = 0,
        output_tokens = output_tokens + reserved_tokens, reserved_tokens = 0,
        estimated = estimated OR reserved_cost + reserved_tokens > 0,
        state = 'retrying', outcome = NULL,
        attempts = attempts || jsonb_build_array(jsonb_build_object(
          'attempt', attempt, 'error_class', 'outcome_unknown', 'detail', coalesce(p_effect ->> 'lost', 'its worker died'),
          'cost', reserved_cost, 'tokens', reserved_tokens))
      WHERE run_id = p_run AND super_step = p_super_step AND task = p_task AND ordinal = p_ordinal;
  END IF;
  IF v_state = 'claimed' THEN
    SELECT r.lacking, r.reserved_at INTO v_lacking, v_reserved_at
      FROM policy_reserve(p_tenant, v_run.budget_ids, p_run,
        (v_reserve ->> 'cost')::numeric, (v_reserve ->> 'tokens')::bigint,
        (v_reserve ->> 'model_calls')::bigint, (v_reserve ->> 'tool_calls')::bigint) AS r;
    IF v_lacking = 'reserved' THEN
      v_lacking := coalesce(runs_lacks_for_good(v_run, p_super_step, p_task, p_token, v_reserve), v_lacking);
    END IF;
    IF v_lacking IS NOT NULL THEN
      RETURN v_lacking;
    END IF;
    -- Whoever sends within so many seconds of writing this is no zombie, however late the
    -- lease was renewed the last time.
    IF p_effect ? 'keep' AND p_lone THEN
      UPDATE runs_run SET lease_expires_at =
          greatest(lease_expires_at, runs_in((p_effect ->> 'keep')::float8)) WHERE id = p_run;
    ELSIF p_effect ? 'keep' THEN
      UPDATE runs_task SET lease_expires_at =
          greatest(lease_expires_at, runs_in((p_effect ->> 'keep')::float8))
        WHERE run_id = p_run AND super_step = p_super_step AND task = p_task;
    END IF;
  END IF;
  IF p_effect ? 'approval' THEN
    v_approval := (p_effect -> 'approval' ->> 'id')::uuid;
    PERFORM runs_ask(p_tenant, v_run, v_place, p_effect);
    PERFORM runs_audit(p_tenant, 'worker:' || p_worker, 'approval.requested', 'approval/' || v_approval,
      jsonb_build_object('effect', v_place, 'digest', p_effect -> 'approval' -> 'digest'));
    v_events := v_events || jsonb_build_array(jsonb_build_array('approval.requested',
      jsonb_build_object('approval', v_approval, 'key', v_place, 'tool', p_effect -> 'name')));
  END IF;
  INSERT INTO runs_effect AS e (
      tenant_id, run_id, super_step, task, ordinal, kind, name, version, effect, digest, request,
      state, attempt, attempts, fencing_token, decision, approval_id, compensates, outcome, error_class,
      reserved_cost, reserved_tokens, cost, input_tokens, output_tokens, price_version,
      claimed_at, finished_at)
    VALUES (
      p_tenant, p_run, p_super_step, p_task, p_ordinal, p_effect ->> 'kind', p_effect ->> 'name',
      coalesce(p_effect ->> 'version', ''), p_effect ->> 'effect', p_effect ->> 'digest',
      p_effect -> 'request', v_state, (v_state = 'claimed')::int, '[]', p_token, coalesce(p_effect -> 'decision', '{}'),
      v_approval, p_effect ->> 'compensates', p_effect -> 'outcome', coalesce(p_effect ->> 'error_class', ''),
      coalesce((v_reserve ->> 'cost')::numeric, 0), coalesce((v_reserve ->> 'tokens')::bigint, 0),
      0, 0, 0, '',
      v_reserved_at,
      CASE WHEN v_state IN ('done', 'failed') THEN clock_timestamp() END)
    ON CONFLICT (run_id, super_step, task, ordinal) DO UPDATE SET
      state = excluded.state,
      attempt = e.attempt + excluded.attempt,
      version = excluded.version, effect = excluded.effect, request = excluded.request,
      fencing_token = excluded.fencing_token,
      decision = CASE WHEN excluded.decision = '{}' THEN e.decision ELSE excluded.decision END,
      approval_id = coalesce(excluded.approval_id, e.approval_id),
      outcome = excluded.outcome, error_class = excluded.error_class,
      reserved_cost = excluded.reserved_cost, reserved_tokens = excluded.reserved_tokens,
      claimed_at = coalesce(excluded.claimed_at, e.claimed_at), finished_at = excluded.finished_at;
  PERFORM runs_audit(p_tenant, 'worker:' || p_worker, 'effect.' || v_state, 'effect/' || v_place,
    jsonb_build_object('name', p_effect -> 'name', 'digest', p_effect -> 'digest',
      'decision', (p_effect -> 'decision') - 'facts'));
  IF v_state <> 'claimed' AND v_state <> 'held' THEN
    v_events := v_events || jsonb_build_array(jsonb_build_array('effect.' || v_state,
      jsonb_build_object('key', v_place, 'kind', p_effect -> 'kind', 'name', p_effect -> 'name',
        'error_class', coalesce(p_effect ->> 'error_class', ''))));
  END IF;
  IF v_events <> '[]' THEN
    PERFORM runs_emit(p_tenant, p_run, v_run.event_seq, v_events);
    UPDATE runs_run SET event_seq = v_run.event_seq + jsonb_array_length(v_events) WHERE id = p_run;
  END IF;
  RETURN 'ok';
END $$;
