-- Runs that a run spawns and waits for. A child never locks its parent's row: it counts its end
-- in the row of the join, under that row's lock, and leaves a message. A parent never locks its
-- children's rows: they look up, at every effect, save and claim (`runs_called_off`).

-- Say whether a join that its run waits for has come to what was wanted of it.
CREATE OR REPLACE FUNCTION runs_is_joined(p_join runs_join) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT p_join.want_succeeded IS NOT NULL AND (
    p_join.succeeded >= p_join.want_succeeded OR p_join.failed >= p_join.want_failed
    OR p_join.succeeded + p_join.failed >= p_join.total)
$$;

CREATE OR REPLACE FUNCTION runs_has_joined(p_run uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT 1 FROM runs_join AS j
    WHERE j.run_id = p_run AND j.want_succeeded IS NOT NULL AND runs_is_joined(j));
END $$;

-- The same for whoever sets the run aside: a child that ends at this moment either is seen
-- here, or sees the run set aside and leaves it a message.
CREATE OR REPLACE FUNCTION runs_has_joined_locked(p_run uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM runs_join WHERE run_id = p_run AND want_succeeded IS NOT NULL
    ORDER BY id FOR UPDATE;
  RETURN FOUND AND runs_has_joined(p_run);
END $$;

-- A run has ended: count it where its parent waits, and call upon its children that are left.
-- Gives the messages it left: [[run, number], ...].
CREATE OR REPLACE FUNCTION runs_tell_family(p_run runs_run) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_join runs_join;
  v_left jsonb := '[]';
BEGIN
  IF p_run.join_id IS NOT NULL THEN
    UPDATE runs_join SET succeeded = succeeded + (p_run.state = 'succeeded')::int,
        failed = failed + (p_run.state <> 'succeeded')::int
      WHERE id = p_run.join_id RETURNING * INTO v_join;
    IF runs_is_joined(v_join) THEN
      v_left := jsonb_build_array(
        jsonb_build_array(v_join.run_id, runs_nudge(p_run.tenant_id, v_join.run_id, NULL, '')));
    END IF;
  END IF;
  IF EXISTS (SELECT FROM runs_run WHERE parent_id = p_run.id AND finished_at IS NULL) THEN
    v_left := v_left || runs_call_children(p_run.tenant_id, p_run.id, NULL);
  END IF;
  RETURN v_left;
END $$;

-- Leave a message for each child of a run (of one join, if it is named) that has not ended.
CREATE OR REPLACE FUNCTION runs_call_children(p_tenant uuid, p_run uuid, p_join uuid)
RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_sent jsonb;
BEGIN
  WITH sent AS (
    INSERT INTO runs_outboxmessage (tenant_id, run_id, task)
      SELECT p_tenant, id, '' FROM runs_run
      WHERE parent_id = p_run AND finished_at IS NULL AND (p_join IS NULL OR join_id = p_join)
      RETURNING run_id, id
  ) SELECT coalesce(jsonb_agg(jsonb_build_array(run_id, id)), '[]') INTO v_sent FROM sent;
  RETURN v_sent;
END $$;

-- A run was rewound: those of its children that it spawned since will not be joined by anybody,
-- so they are called off, and a message is left for each.
CREATE OR REPLACE FUNCTION runs_leave_children(p_tenant uuid, p_run uuid, p_super_step int)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_join uuid;
BEGIN
  FOR v_join IN SELECT j.id FROM runs_join AS j
      WHERE j.run_id = p_run AND j.id IN (
        SELECT (outcome -> 'value' ->> 'join')::uuid FROM runs_effect
        WHERE run_id = p_run AND super_step >= p_super_step AND kind = 'child' AND state = 'done')
      ORDER BY j.id FOR UPDATE
  LOOP
    UPDATE runs_join SET is_over = true, want_succeeded = NULL, want_failed = NULL
      WHERE id = v_join;
    PERFORM runs_call_children(p_tenant, p_run, v_join);
  END LOOP;
END $$;

-- Give the run above a run that nobody spawned, or itself.
CREATE OR REPLACE FUNCTION runs_root_of(p_run runs_run) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(p_run.ancestor_ids[cardinality(p_run.ancestor_ids)], p_run.id)
$$;

-- Say why a run may not start so many children more, or NULL. Its row is locked, so that tasks that
-- spawn at the same moment are counted one after the other; and then its family's, before any budget's.
CREATE OR REPLACE FUNCTION runs_too_many_children(p_run uuid, p_brood jsonb, p_more int)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_root uuid;
  v_family runs_family;
  v_ever int;
  v_live int;
BEGIN
  SELECT runs_root_of(r) INTO v_root FROM runs_run AS r WHERE id = p_run FOR NO KEY UPDATE;
  SELECT * INTO v_family FROM runs_family WHERE id = v_root FOR UPDATE;
  v_family.size := coalesce(v_family.size, 0) + p_more;
  v_family.most := coalesce(v_family.most, runs_family_bound(p_brood));
  SELECT count(*), count(*) FILTER (WHERE finished_at IS NULL) INTO v_ever, v_live
    FROM runs_run WHERE parent_id = p_run;
  RETURN CASE
    WHEN v_ever + p_more > (p_brood ->> 'total')::int THEN format(
      '%s children and %s more: a run of this agent starts %s at most', v_ever, p_more, p_brood ->> 'total')
    WHEN v_live + p_more > (p_brood ->> 'at_once')::int THEN format(
      '%s children at work and %s more: a run of this agent has %s at once at most',
      v_live, p_more, p_brood ->> 'at_once')
    WHEN v_family.size > v_family.most THEN format(
      '%s runs descend from run %s, and %s more: there may be %s; '
      'start fewer, or raise ChildLimits(family=...) of its agent',
      v_family.size - p_more, v_root, p_more, v_family.most) END;
END $$;

-- How many may descend from a run whose first brood this is. Workers of before do not say.
CREATE OR REPLACE FUNCTION runs_family_bound(p_brood jsonb) RETURNS int LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce((p_brood ->> 'family')::int, 100000)
$$;

-- Start children: their rows, first checkpoints, budgets, events and messages, and the effect
-- that says so, in one statement. Those that find no seat stand in line. Where they would be too many, the effect
-- says why instead. Gives {"put": as runs_put_effect, "sent": [[run, number], ...], "refused": why or ''}.
CREATE OR REPLACE FUNCTION runs_spawn(
  p_tenant uuid, p_run uuid, p_super_step int, p_task text, p_ordinal int,
  p_token bigint, p_lone boolean, p_worker text, p_effect jsonb, p_before jsonb,
  p_join uuid, p_brood jsonb, p_children jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_put text;
  v_run runs_run;
  v_now int;
  v_above uuid[];
  v_refused text;
BEGIN
  PERFORM runs_tenant(p_tenant);
  v_refused := runs_too_many_children(p_run, p_brood, jsonb_array_length(p_children));
  IF v_refused IS NOT NULL THEN
    p_effect := p_effect || jsonb_build_object('state', 'failed', 'error_class', 'validation_error',
      'outcome', jsonb_build_object('failed', 'validation_error', 'detail', v_refused, 'in_doubt', false));
  END IF;
  v_put := runs_put_effect(p_tenant, p_run, p_super_step, p_task, p_ordinal, p_token, p_lone,
    p_worker, p_effect, p_before);
  IF v_put <> 'ok' OR v_refused IS NOT NULL THEN
    RETURN jsonb_build_object('put', v_put, 'sent', '[]'::jsonb, 'refused', coalesce(v_refused, ''));
  END IF;
  SELECT * INTO v_run FROM runs_run WHERE id = p_run;
  v_now := runs_enter(p_tenant, jsonb_array_length(p_children)) ->> 'now';
  -- Above a child: all that is above its parent, and the budget of its own agent.
  v_above := v_run.budget_ids || ARRAY(
    SELECT b.id FROM policy_budget AS b JOIN runs_agentversion AS v ON v.agent_id = b.scope_id
    WHERE b.tenant_id = p_tenant AND b.scope = 'agent' AND v.id = (p_brood ->> 'version')::uuid
      AND b.id <> ALL (v_run.budget_ids));
  INSERT INTO runs_join (id, tenant_id, run_id, total, succeeded, failed, is_over)
    VALUES (p_join, p_tenant, p_run, jsonb_array_length(p_children), 0, 0, false);
  INSERT INTO runs_family AS f (id, tenant_id, size, most)
    VALUES (runs_root_of(v_run), p_tenant, jsonb_array_length(p_children), runs_family_bound(p_brood))
    ON CONFLICT (id) DO UPDATE SET size = f.size + excluded.size;
  RETURN jsonb_build_object('put', v_put, 'refused', '', 'sent', runs_put_runs(
    p_tenant, 'worker:' || p_worker, jsonb_build_object(
      'agent_version_id', p_brood -> 'version', 'agent_name', p_brood -> 'agent',
      'principal_id', v_run.principal_id, 'team_id', v_run.team_id, 'thread_id', v_run.thread_id,
      'started_by', v_run.started_by, 'priority', v_run.priority,
      'deadline_at', least(runs_in((p_brood ->> 'seconds')::float8), v_run.deadline_at),
      'deadline_stops', p_brood -> 'stops',
      'budget_ids', v_above, 'parent_id', p_run,
      'ancestor_ids', p_run || coalesce(v_run.ancestor_ids, '{}'), 'join_id', p_join),
    p_brood, jsonb_build_object('agent', p_brood -> 'agent', 'parent', p_run), p_children, v_now));
END $$;

-- Look whether children have come to what is wanted of them. If so the effect is done, with what
-- came of each, and those still at work are called off; if not the effect is held, and the wants
-- stand in the join's row. Gives {"put", "results": null or [...], "sent"}.
CREATE OR REPLACE FUNCTION runs_join_children(
  p_tenant uuid, p_run uuid, p_super_step int, p_task text, p_ordinal int,
  p_token bigint, p_lone boolean, p_worker text, p_effect jsonb, p_before jsonb,
  p_join uuid, p_want_succeeded int, p_want_failed int
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_put text;
  v_join runs_join;
  v_results jsonb;
  v_seq bigint;
  v_place text := p_run || '/' || p_super_step || '/' || p_task || '/' || p_ordinal;
BEGIN
  v_put := runs_put_effect(p_tenant, p_run, p_super_step, p_task, p_ordinal, p_token, p_lone,
    p_worker, p_effect, p_before);
  IF v_put <> 'ok' THEN
    RETURN jsonb_build_object('put', v_put, 'results', NULL, 'sent', '[]'::jsonb);
  END IF;
  UPDATE runs_join SET want_succeeded = p_want_succeeded, want_failed = p_want_failed
    WHERE id = p_join AND run_id = p_run RETURNING * INTO v_join;
  IF FOUND AND NOT runs_is_joined(v_join) THEN
    RETURN jsonb_build_object('put', v_put, 'results', NULL, 'sent', '[]'::jsonb);
  END IF;
  UPDATE runs_join SET want_succeeded = NULL, want_failed = NULL, is_over = true
    WHERE id = v_join.id;
  SELECT coalesce(jsonb_agg(jsonb_build_object('run', id, 'state', state, 'output', output,
      'error_class', error_class, 'error_detail', error_detail) ORDER BY id), '[]') INTO v_results
    FROM runs_run WHERE parent_id = p_run AND join_id = p_join;
  UPDATE runs_effect SET state = 'done', outcome = jsonb_build_object('value', v_results),
      finished_at = clock_timestamp()
    WHERE run_id = p_run AND super_step = p_super_step AND task = p_task AND ordinal = p_ordinal;
  PERFORM runs_audit(p_tenant, 'worker:' || p_worker, 'effect.done', 'effect/' || v_place,
    jsonb_build_object('name', p_effect -> 'name', 'digest', p_effect -> 'digest'));
  UPDATE runs_run SET event_seq = event_seq + 1 WHERE id = p_run RETURNING event_seq INTO v_seq;
  PERFORM runs_emit(p_tenant, p_run, v_seq - 1, jsonb_build_array(jsonb_build_array('effect.done',
    jsonb_build_object('key', v_place, 'kind', p_effect -> 'kind', 'name', p_effect -> 'name',
      'error_class', ''))));
  RETURN jsonb_build_object('put', v_put, 'results', v_results,
    'sent', runs_call_children(p_tenant, p_run, p_join));
END $$;
