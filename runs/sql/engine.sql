-- The engine's statements: one to claim, one before an effect is sent, one to save.
--
--   runs_claim        queued, or left behind by a dead worker  ->  held under a higher token
--   runs_fan_out      a super-step of several tasks            ->  tasks held one by one
--   runs_claim_task   one of them                              ->  held under a token of its own
--   runs_finish_task  its result kept; the last one gets the run back
--   runs_put_effect   an effect written down before it is sent, its money set aside
--   runs_save         everything that happened in a super-step, or nothing
--   runs_stop         a run that nobody holds                  ->  ended from the outside
--   runs_renew        many leases at once, across tenants
--
-- Every function but runs_renew sets the tenant for its own statement and is bound by
-- row-level security. Every write names the fencing token; none matching means that the
-- lease is lost. Time is the database's clock.
--
-- Lock order: run, task, approval, effect, budget, outbox.

CREATE FUNCTION runs_tenant(p_tenant uuid) RETURNS void LANGUAGE sql AS $$
  SELECT set_config('agentops.tenant_id', p_tenant::text, true)
$$;

CREATE FUNCTION runs_in(p_seconds float8) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT clock_timestamp() + make_interval(secs => p_seconds)
$$;

-- Append events [[type, data], ...] after p_seq and give the new last number.
CREATE FUNCTION runs_emit(p_tenant uuid, p_run uuid, p_seq bigint, p_events jsonb)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO runs_runevent (tenant_id, run_id, seq, type, data)
    SELECT p_tenant, p_run, p_seq + e.n, e.item ->> 0, e.item -> 1
    FROM jsonb_array_elements(p_events) WITH ORDINALITY AS e (item, n)
$$;

CREATE FUNCTION runs_audit(p_tenant uuid, p_actor text, p_action text, p_subject text, p_detail jsonb)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO policy_auditevent (tenant_id, actor, action, subject, detail)
    VALUES (p_tenant, p_actor, p_action, p_subject, p_detail)
$$;

CREATE FUNCTION runs_nudge(p_tenant uuid, p_run uuid, p_super_step int, p_task text)
RETURNS bigint LANGUAGE sql AS $$
  INSERT INTO runs_outboxmessage (tenant_id, run_id, super_step, task)
    VALUES (p_tenant, p_run, p_super_step, p_task) RETURNING id
$$;

-- What a worker needs to go on: the checkpoint, its values, kept results, the ledger.
CREATE FUNCTION runs_load(p_tenant uuid, p_run uuid, p_super_step int)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_head jsonb;
  v_values jsonb;
BEGIN
  SELECT head INTO v_head FROM runs_checkpoint
    WHERE run_id = p_run AND super_step = p_super_step;
  SELECT jsonb_object_agg(w.key, c.writes -> w.key) INTO v_values
    FROM jsonb_each_text(v_head -> 'written') AS w
    JOIN runs_checkpoint AS c ON c.run_id = p_run AND c.super_step = w.value::int
    WHERE v_head -> 'logs' IS NULL OR NOT v_head -> 'logs' ? w.key;
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
        'approval_result', a.result))
      FROM runs_effect AS e LEFT JOIN policy_approval AS a ON a.id = e.approval_id
      WHERE e.run_id = p_run AND e.super_step = p_super_step));
END $$;

-- A run's own facts, as the worker needs them.
CREATE FUNCTION runs_facts(p_run runs_run) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'agent_version', p_run.agent_version_id, 'agent', p_run.agent_name,
    'principal', p_run.principal_id, 'started_by', p_run.started_by,
    'roles', (SELECT to_jsonb(roles) FROM policy_principal WHERE id = p_run.principal_id),
    'super_step', p_run.super_step, 'wakeups', p_run.wakeups, 'token', p_run.fencing_token,
    'deadline', extract(epoch FROM p_run.deadline_at),
    'now', extract(epoch FROM clock_timestamp()),
    'cancel', p_run.cancel_requested_at IS NOT NULL,
    'policy', (SELECT policy_version_id FROM policy_tenant WHERE id = p_run.tenant_id))
$$;

-- Everything that must be settled when a run ends: open questions, unsent effects, money.
CREATE FUNCTION runs_close(p_tenant uuid, p_run uuid, p_budgets uuid[], p_actor text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_effect runs_effect;
BEGIN
  WITH withdrawn AS (
    UPDATE policy_approval SET state = 'withdrawn', decided_at = clock_timestamp(),
        version = version + 1
      WHERE tenant_id = p_tenant AND run_id = p_run AND state = 'open' RETURNING id
  ) INSERT INTO policy_auditevent (tenant_id, actor, action, subject, detail)
    SELECT p_tenant, p_actor, 'approval.withdrawn', 'approval/' || id, '{}' FROM withdrawn;
  WITH unsent AS (
    UPDATE runs_effect SET state = 'failed', error_class = 'cancellation',
        outcome = jsonb_build_object('failed', 'cancellation', 'detail', 'the run ended before it was sent'),
        finished_at = clock_timestamp()
      WHERE run_id = p_run AND state IN ('held', 'retrying') RETURNING super_step, task, ordinal, name
  ) INSERT INTO policy_auditevent (tenant_id, actor, action, subject, detail)
    SELECT p_tenant, p_actor, 'effect.failed',
      'effect/' || p_run || '/' || super_step || '/' || task || '/' || ordinal,
      jsonb_build_object('name', name, 'error_class', 'cancellation') FROM unsent;
  FOR v_effect IN SELECT * FROM runs_effect
      WHERE run_id = p_run AND state = 'claimed' ORDER BY super_step, task, ordinal FOR UPDATE
  LOOP
    PERFORM policy_settle(p_tenant, p_budgets, v_effect.reserved_cost, v_effect.reserved_tokens,
      v_effect.reserved_cost, v_effect.reserved_tokens,
      (v_effect.kind = 'model')::int, (v_effect.kind = 'tool')::int);
    UPDATE runs_effect SET state = 'unknown', error_class = 'outcome_unknown',
        cost = cost + reserved_cost, reserved_cost = 0, reserved_tokens = 0
      WHERE run_id = p_run AND super_step = v_effect.super_step AND task = v_effect.task
        AND ordinal = v_effect.ordinal;
    PERFORM runs_audit(p_tenant, p_actor, 'effect.unknown',
      'effect/' || p_run || '/' || v_effect.super_step || '/' || v_effect.task || '/' || v_effect.ordinal,
      jsonb_build_object('name', v_effect.name, 'error_class', 'outcome_unknown'));
  END LOOP;
END $$;

CREATE FUNCTION runs_claim(p_tenant uuid, p_run uuid, p_worker text, p_ttl float8, p_crash_limit int)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
BEGIN
  PERFORM runs_tenant(p_tenant);
  UPDATE runs_run SET
      state = 'running', worker = p_worker, lease_expires_at = runs_in(p_ttl),
      fencing_token = fencing_token + 1, due_at = NULL,
      crashes = crashes + (state = 'running' AND lease_expires_at IS NOT NULL)::int,
      started_at = coalesce(started_at, clock_timestamp()),
      event_seq = event_seq + (fencing_token = 0)::int
    WHERE id = p_run AND tenant_id = p_tenant AND (
      state = 'queued' OR (state = 'running' AND open_tasks = 0
        AND (lease_expires_at IS NULL OR lease_expires_at <= clock_timestamp())))
    RETURNING * INTO v_run;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  IF v_run.fencing_token = 1 THEN
    PERFORM runs_emit(p_tenant, p_run, v_run.event_seq - 1, jsonb_build_array(
      jsonb_build_array('run.started', jsonb_build_object('worker', p_worker))));
  END IF;
  IF v_run.crashes >= p_crash_limit AND v_run.cancel_requested_at IS NULL THEN
    UPDATE runs_run SET state = 'interrupted', reason = 'poison', worker = NULL,
        lease_expires_at = NULL, event_seq = event_seq + 1
      WHERE id = p_run;
    PERFORM runs_emit(p_tenant, p_run, v_run.event_seq, jsonb_build_array(
      jsonb_build_array('run.parked', jsonb_build_object('reason', 'poison', 'crashes', v_run.crashes))));
    PERFORM runs_audit(p_tenant, 'system', 'run.parked', 'run/' || p_run,
      jsonb_build_object('reason', 'poison', 'crashes', v_run.crashes));
    RETURN NULL;
  END IF;
  RETURN runs_facts(v_run) || runs_load(p_tenant, p_run, v_run.super_step);
END $$;

CREATE FUNCTION runs_fan_out(p_tenant uuid, p_run uuid, p_token bigint, p_tasks text[])
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

CREATE FUNCTION runs_claim_task(
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

-- Record what came of effects, release and book their money; one event for each.
CREATE FUNCTION runs_settle(p_tenant uuid, p_run uuid, p_super_step int, p_budgets uuid[],
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
        attempts = CASE WHEN v_item ? 'attempt_failed'
          THEN attempts || jsonb_build_array(v_item -> 'attempt_failed') ELSE attempts END,
        cost = cost + (v_item ->> 'cost')::numeric,
        input_tokens = input_tokens + (v_item ->> 'input_tokens')::bigint,
        output_tokens = output_tokens + (v_item ->> 'output_tokens')::bigint,
        price_version = coalesce(v_item ->> 'price_version', price_version),
        reserved_cost = 0, reserved_tokens = 0,
        finished_at = CASE WHEN v_item ->> 'state' IN ('done', 'failed') THEN clock_timestamp() END
      WHERE run_id = p_run AND super_step = p_super_step
        AND task = v_old.task AND ordinal = v_old.ordinal;
    IF v_old.state = 'claimed' THEN
      PERFORM policy_settle(p_tenant, p_budgets, v_old.reserved_cost, v_old.reserved_tokens,
        (v_item ->> 'cost')::numeric,
        (v_item ->> 'input_tokens')::bigint + (v_item ->> 'output_tokens')::bigint,
        (v_old.kind = 'model')::int, (v_old.kind = 'tool')::int);
    END IF;
    v_place := p_run || '/' || p_super_step || '/' || v_old.task || '/' || v_old.ordinal;
    PERFORM runs_audit(p_tenant, p_worker, 'effect.' || (v_item ->> 'state'), 'effect/' || v_place,
      jsonb_build_object('name', v_old.name, 'digest', v_old.digest,
        'error_class', coalesce(v_item ->> 'error_class', ''), 'cost', v_item -> 'cost'));
    v_events := v_events || jsonb_build_array(jsonb_build_array('effect.' || (v_item ->> 'state'),
      jsonb_build_object('key', v_place, 'kind', v_old.kind, 'name', v_old.name,
        'error_class', coalesce(v_item ->> 'error_class', ''))));
  END LOOP;
  PERFORM runs_emit(p_tenant, p_run, p_seq, v_events);
END $$;

-- Write an effect down before it is sent (or why it is not), and set its money aside.
-- Gives: ok | lease_lost | cancelled | deadline | <unit that the budget lacks>
CREATE FUNCTION runs_put_effect(
  p_tenant uuid, p_run uuid, p_super_step int, p_task text, p_ordinal int,
  p_token bigint, p_lone boolean, p_worker text, p_effect jsonb, p_before jsonb
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
  v_state text := p_effect ->> 'state';
  v_reserve jsonb := coalesce(p_effect -> 'reserve', '{}');
  v_old runs_effect;
  v_lacking text;
  v_approval uuid;
  v_place text := p_run || '/' || p_super_step || '/' || p_task || '/' || p_ordinal;
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
  IF v_state = 'claimed' AND v_run.cancel_requested_at IS NOT NULL THEN
    RETURN 'cancelled';
  END IF;
  IF v_state = 'claimed' AND v_run.deadline_at <= clock_timestamp() THEN
    RETURN 'deadline';
  END IF;
  SELECT * INTO v_old FROM runs_effect
    WHERE run_id = p_run AND super_step = p_super_step AND task = p_task AND ordinal = p_ordinal
    FOR UPDATE;
  IF v_old.state = 'claimed' THEN
    -- The attempt before this one is lost: nobody will ever say what it cost, so it is
    -- settled by its estimate, the amount that was set aside for it.
    PERFORM policy_settle(p_tenant, v_run.budget_ids, v_old.reserved_cost, v_old.reserved_tokens,
      v_old.reserved_cost, v_old.reserved_tokens,
      (v_old.kind = 'model')::int, (v_old.kind = 'tool')::int);
    UPDATE runs_effect SET cost = cost + reserved_cost, reserved_cost = 0, reserved_tokens = 0,
        state = 'retrying', outcome = NULL,
        attempts = attempts || jsonb_build_array(jsonb_build_object(
          'attempt', attempt, 'error_class', 'outcome_unknown', 'detail', coalesce(p_effect ->> 'lost', 'its worker died'),
          'cost', reserved_cost))
      WHERE run_id = p_run AND super_step = p_super_step AND task = p_task AND ordinal = p_ordinal;
  END IF;
  IF v_state = 'claimed' THEN
    v_lacking := policy_reserve(p_tenant, v_run.budget_ids,
      (v_reserve ->> 'cost')::numeric, (v_reserve ->> 'tokens')::bigint,
      (v_reserve ->> 'model_calls')::bigint, (v_reserve ->> 'tool_calls')::bigint);
    IF v_lacking IS NOT NULL THEN
      RETURN v_lacking;
    END IF;
  END IF;
  IF p_effect ? 'approval' THEN
    v_approval := (p_effect -> 'approval' ->> 'id')::uuid;
    INSERT INTO policy_approval (
        id, tenant_id, kind, state, version, run_id, effect_key, agent, tool, tool_version,
        arguments, digest, policy_version, rule, reason, created_at, expires_at,
        decided_by, decision_reason)
      SELECT v_approval, p_tenant, a.kind, 'open', 1, p_run, v_place, v_run.agent_name,
        p_effect ->> 'name', p_effect ->> 'version', p_effect -> 'request', a.digest,
        a.policy_version, a.rule, left(a.reason, 500), clock_timestamp(), runs_in(a.seconds), '', ''
      FROM jsonb_to_record(p_effect -> 'approval')
        AS a (kind text, digest text, policy_version text, rule text, reason text, seconds float8);
    PERFORM runs_audit(p_tenant, p_worker, 'approval.requested', 'approval/' || v_approval,
      jsonb_build_object('effect', v_place, 'digest', p_effect -> 'approval' -> 'digest'));
    v_events := v_events || jsonb_build_array(jsonb_build_array('approval.requested',
      jsonb_build_object('approval', v_approval, 'key', v_place, 'tool', p_effect -> 'name')));
  END IF;
  INSERT INTO runs_effect AS e (
      tenant_id, run_id, super_step, task, ordinal, kind, name, version, effect, digest, request,
      state, attempt, attempts, fencing_token, decision, approval_id, outcome, error_class,
      reserved_cost, reserved_tokens, cost, input_tokens, output_tokens, price_version,
      claimed_at, finished_at)
    VALUES (
      p_tenant, p_run, p_super_step, p_task, p_ordinal, p_effect ->> 'kind', p_effect ->> 'name',
      coalesce(p_effect ->> 'version', ''), p_effect ->> 'effect', p_effect ->> 'digest',
      p_effect -> 'request', v_state, (v_state = 'claimed')::int, '[]', p_token, coalesce(p_effect -> 'decision', '{}'),
      v_approval, p_effect -> 'outcome', coalesce(p_effect ->> 'error_class', ''),
      coalesce((v_reserve ->> 'cost')::numeric, 0), coalesce((v_reserve ->> 'tokens')::bigint, 0),
      0, 0, 0, '',
      CASE WHEN v_state = 'claimed' THEN clock_timestamp() END,
      CASE WHEN v_state IN ('done', 'failed') THEN clock_timestamp() END)
    ON CONFLICT (run_id, super_step, task, ordinal) DO UPDATE SET
      state = excluded.state,
      attempt = e.attempt + excluded.attempt,
      version = excluded.version, effect = excluded.effect,
      fencing_token = excluded.fencing_token,
      decision = CASE WHEN excluded.decision = '{}' THEN e.decision ELSE excluded.decision END,
      approval_id = coalesce(excluded.approval_id, e.approval_id),
      outcome = excluded.outcome, error_class = excluded.error_class,
      reserved_cost = excluded.reserved_cost, reserved_tokens = excluded.reserved_tokens,
      claimed_at = coalesce(excluded.claimed_at, e.claimed_at), finished_at = excluded.finished_at;
  PERFORM runs_audit(p_tenant, p_worker, 'effect.' || v_state, 'effect/' || v_place,
    jsonb_build_object('name', p_effect -> 'name', 'digest', p_effect -> 'digest',
      'decision', p_effect -> 'decision'));
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

-- Keep a task's result. The last one to finish gets the run: {"last": true, "token": n}.
CREATE FUNCTION runs_finish_task(
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

-- Everything that happened, in one commit. Without p_head no checkpoint is made: the run
-- is set aside (p_state waiting, interrupted, paused) or ends.
-- A run that was called upon since it was claimed is not set aside but queued again.
CREATE FUNCTION runs_save(
  p_tenant uuid, p_run uuid, p_token bigint, p_super_step int, p_worker text, p_ttl float8,
  p_head jsonb, p_writes jsonb, p_state text, p_wakeups int, p_more jsonb, p_events jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
  v_effects jsonb := coalesce(p_more -> 'effects', '[]');
  v_new int := jsonb_array_length(coalesce(p_more -> 'effects', '[]')) + jsonb_array_length(p_events);
  v_sent bigint;
BEGIN
  PERFORM runs_tenant(p_tenant);
  UPDATE runs_run SET
      state = CASE WHEN p_state IN ('waiting', 'interrupted', 'paused') AND wakeups <> p_wakeups
        THEN 'queued' ELSE p_state END,
      reason = CASE WHEN p_state IN ('waiting', 'interrupted', 'paused') AND wakeups = p_wakeups
        THEN p_more ->> 'reason' ELSE '' END,
      due_at = CASE WHEN p_state IN ('waiting', 'interrupted', 'paused') AND wakeups = p_wakeups
        THEN to_timestamp((p_more ->> 'due')::float8) END,
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
      AND (cancel_requested_at IS NULL
        OR p_state NOT IN ('succeeded', 'waiting', 'interrupted', 'paused'))
    RETURNING * INTO v_run;
  IF NOT FOUND THEN
    -- Called off meanwhile: whoever holds the run is told, and saves its end instead.
    SELECT * INTO v_run FROM runs_run
      WHERE id = p_run AND tenant_id = p_tenant AND state = 'running'
        AND fencing_token = p_token AND super_step = p_super_step AND open_tasks = 0;
    RETURN CASE WHEN FOUND THEN jsonb_build_object('called_off', true, 'state', v_run.state,
      'wakeups', v_run.wakeups, 'sent', NULL, 'cancel', true) END;
  END IF;
  IF p_head IS NOT NULL THEN
    INSERT INTO runs_checkpoint (tenant_id, run_id, super_step, fencing_token, head, writes)
      VALUES (p_tenant, p_run, p_super_step + 1, p_token, p_head, p_writes);
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
    PERFORM runs_close(p_tenant, p_run, v_run.budget_ids, p_worker);
    PERFORM runs_audit(p_tenant, p_worker, 'run.' || v_run.state, 'run/' || p_run,
      jsonb_build_object('super_step', v_run.super_step, 'error_class', v_run.error_class));
  ELSIF v_run.state <> 'running' THEN
    IF v_run.state <> 'queued' THEN
      PERFORM runs_audit(p_tenant, p_worker, 'run.' || v_run.state, 'run/' || p_run,
        jsonb_build_object('reason', v_run.reason, 'super_step', v_run.super_step));
    ELSE
      v_sent := runs_nudge(p_tenant, p_run, NULL, '');
    END IF;
  END IF;
  RETURN jsonb_build_object('called_off', false, 'state', v_run.state,
    'wakeups', v_run.wakeups, 'sent', v_sent,
    'cancel', v_run.cancel_requested_at IS NOT NULL);
END $$;

-- End a run that nobody holds. Gives its state, or NULL where it is held or has ended.
CREATE FUNCTION runs_stop(
  p_tenant uuid, p_run uuid, p_state text, p_actor text, p_error_class text, p_detail text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
BEGIN
  PERFORM runs_tenant(p_tenant);
  UPDATE runs_run SET state = p_state, reason = '', due_at = NULL, finished_at = clock_timestamp(),
      error_class = p_error_class, error_detail = p_detail, event_seq = event_seq + 1,
      worker = NULL, lease_expires_at = NULL
    WHERE id = p_run AND tenant_id = p_tenant
      AND state IN ('queued', 'waiting', 'interrupted', 'paused')
    RETURNING * INTO v_run;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  PERFORM runs_close(p_tenant, p_run, v_run.budget_ids, p_actor);
  PERFORM runs_emit(p_tenant, p_run, v_run.event_seq - 1, jsonb_build_array(jsonb_build_array(
    'run.' || p_state, jsonb_build_object('by', p_actor, 'detail', p_detail))));
  PERFORM runs_audit(p_tenant, p_actor, 'run.' || p_state, 'run/' || p_run,
    jsonb_build_object('detail', p_detail));
  RETURN v_run.state;
END $$;

-- Call upon a run: something it may wait for has happened. A run that is set aside is
-- queued; one that is held will look again before it sets itself aside.
CREATE FUNCTION runs_wake(p_tenant uuid, p_run uuid, p_event text, p_data jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
BEGIN
  PERFORM runs_tenant(p_tenant);
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
  IF v_run.state = 'queued' THEN
    RETURN runs_nudge(p_tenant, p_run, NULL, '');
  END IF;
  RETURN NULL;
END $$;

-- Renew leases [[tenant, run, super_step, task, token], ...]; task '' is the run's own.
-- Crosses tenants, so it runs with the owner's rights, matches whole triples and says
-- nothing but which of them are lost or asked to cancel.
CREATE FUNCTION runs_renew(p_ttl float8, p_leases jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  v_kept jsonb;
BEGIN
  WITH wanted AS (
    SELECT (l ->> 0)::uuid AS tenant, (l ->> 1)::uuid AS run, (l ->> 2)::int AS step,
      l ->> 3 AS task, (l ->> 4)::bigint AS token
    FROM jsonb_array_elements(p_leases) AS l
  ), runs AS (
    UPDATE public.runs_run AS r SET lease_expires_at = public.runs_in(p_ttl) FROM (
        SELECT r.id, w.token, w.tenant FROM wanted AS w
        JOIN public.runs_run AS r ON r.id = w.run WHERE w.task = '' ORDER BY r.id FOR NO KEY UPDATE OF r SKIP LOCKED
      ) AS w
      WHERE r.id = w.id AND r.tenant_id = w.tenant AND r.fencing_token = w.token
        AND r.state = 'running' AND r.open_tasks = 0
      RETURNING r.id
  ), tasks AS (
    UPDATE public.runs_task AS t SET lease_expires_at = public.runs_in(p_ttl) FROM wanted AS w
      WHERE w.task <> '' AND t.run_id = w.run AND t.super_step = w.step AND t.task = w.task
        AND t.tenant_id = w.tenant AND t.fencing_token = w.token AND t.state = 'running'
      RETURNING t.run_id
  )
  SELECT jsonb_build_object('runs', (SELECT count(*) FROM runs), 'tasks', (SELECT count(*) FROM tasks))
    INTO v_kept;
  RETURN v_kept;
END $$;

-- A log channel as of a super-step, oldest item first.
CREATE FUNCTION runs_read_log(p_tenant uuid, p_run uuid, p_channel text, p_upto int)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM runs_tenant(p_tenant);
  RETURN (SELECT coalesce(jsonb_agg(i.item ORDER BY c.super_step, i.n), '[]')
    FROM runs_checkpoint AS c,
      jsonb_array_elements(c.writes -> p_channel) WITH ORDINALITY AS i (item, n)
    WHERE c.run_id = p_run AND c.super_step <= p_upto AND c.writes ? p_channel);
END $$;

-- Remove messages that were sent. Crosses tenants and names nothing but its own numbers.
CREATE FUNCTION runs_sent(p_ids bigint[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  DELETE FROM public.runs_outboxmessage WHERE id = ANY (p_ids)
$$;

-- A worker was seen to die: end its leases now instead of waiting for them, and nudge what
-- it held (dated back, so that the relay sends it in its next round). What has cost a worker
-- before waits a second longer each time, so that bad luck is not soon taken for poison.
-- Crosses tenants.
CREATE FUNCTION runs_bury(p_worker text) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  v_runs int;
  v_tasks int;
BEGIN
  WITH freed AS (
    UPDATE public.runs_run
      SET lease_expires_at = least(lease_expires_at, public.runs_in(crashes)), nudged_at = NULL
      WHERE state = 'running' AND worker = p_worker AND lease_expires_at > clock_timestamp()
      RETURNING tenant_id, id
  ), nudged AS (
    INSERT INTO public.runs_outboxmessage (tenant_id, run_id, task, created_at)
      SELECT tenant_id, id, '', clock_timestamp() - interval '1 hour' FROM freed RETURNING 1
  ) SELECT count(*) INTO v_runs FROM nudged;
  WITH freed AS (
    UPDATE public.runs_task
      SET lease_expires_at = least(lease_expires_at, public.runs_in(crashes)), nudged_at = NULL
      WHERE state = 'running' AND worker = p_worker AND lease_expires_at > clock_timestamp()
      RETURNING tenant_id, run_id, super_step, task
  ), nudged AS (
    INSERT INTO public.runs_outboxmessage (tenant_id, run_id, super_step, task, created_at)
      SELECT tenant_id, run_id, super_step, task, clock_timestamp() - interval '1 hour'
      FROM freed RETURNING 1
  ) SELECT count(*) INTO v_tasks FROM nudged;
  RETURN v_runs + v_tasks;
END $$;
