-- Runs come into being: with every row that a run has from its first moment on.

-- Put runs that are alike, each with its budget, its first checkpoint, its first event and an audit
-- record. `p_like` has the columns of runs_run that they share, `budget_ids` those above them;
-- `p_runs` is [{"id", "budget", "head", "writes"}, ...]. A message is left for the first `p_now`;
-- the others stand in line. Gives the messages: [[run, number], ...].
CREATE OR REPLACE FUNCTION runs_put_runs(
  p_tenant uuid, p_actor text, p_like jsonb, p_limits jsonb, p_told jsonb, p_runs jsonb, p_now int
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_like runs_run := jsonb_populate_record(NULL::runs_run, p_like);
  v_is_child boolean := v_like.parent_id IS NOT NULL;
  v_ids uuid[];
BEGIN
  SELECT array_agg((r.item ->> 'id')::uuid ORDER BY r.n) INTO v_ids
    FROM jsonb_array_elements(p_runs) WITH ORDINALITY AS r (item, n);
  INSERT INTO policy_budget (id, tenant_id, scope, scope_id, version,
      cost_limit, cost_spent, cost_reserved, cost_overdraft,
      tokens_limit, tokens_spent, tokens_reserved, tokens_overdraft,
      model_calls_limit, model_calls_spent, model_calls_reserved, model_calls_overdraft,
      tool_calls_limit, tool_calls_spent, tool_calls_reserved, tool_calls_overdraft, created_at)
    SELECT r.budget, p_tenant, CASE WHEN v_is_child THEN 'child' ELSE 'run' END, r.id, 1,
      (p_limits ->> 'cost')::numeric, 0, 0, 0, (p_limits ->> 'tokens')::bigint, 0, 0, 0,
      (p_limits ->> 'model_calls')::bigint, 0, 0, 0, (p_limits ->> 'tool_calls')::bigint, 0, 0, 0,
      clock_timestamp()
    FROM jsonb_to_recordset(p_runs) AS r (id uuid, budget uuid);
  INSERT INTO runs_run (
      id, tenant_id, agent_version_id, agent_name, principal_id, team_id, thread_id, started_by,
      state, reason, super_step, open_tasks, wakeups, wakeups_seen, crashes, event_seq,
      fencing_token, nudged_at, deadline_at, deadline_stops, budget_ids, parent_id, ancestor_ids, join_id,
      metadata, origin_run_id, origin_super_step, compensates_id, answers_id,
      error_class, error_detail, created_at, priority, queue_at)
    SELECT r.id, p_tenant, v_like.agent_version_id, v_like.agent_name, v_like.principal_id,
      v_like.team_id, v_like.thread_id, v_like.started_by, 'queued', '', 0, 0, 0, 0, 0, 1,
      0, clock_timestamp(), v_like.deadline_at, coalesce(v_like.deadline_stops, false),
      r.budget || v_like.budget_ids, v_like.parent_id,
      v_like.ancestor_ids, v_like.join_id, coalesce(v_like.metadata, '{}'), v_like.origin_run_id,
      v_like.origin_super_step, v_like.compensates_id, v_like.answers_id,
      '', '', coalesce(v_like.created_at, clock_timestamp()), v_like.priority,
      CASE WHEN NOT r.id = ANY (v_ids[:p_now]) THEN runs_line_up(false, v_is_child, v_like.priority) END
    FROM jsonb_to_recordset(p_runs) AS r (id uuid, budget uuid);
  INSERT INTO runs_checkpoint (tenant_id, run_id, super_step, fencing_token, head, writes)
    SELECT p_tenant, r.id, 0, 0, r.head, r.writes
    FROM jsonb_to_recordset(p_runs) AS r (id uuid, head jsonb, writes jsonb);
  PERFORM runs_emit(p_tenant, id, 0, jsonb_build_array(jsonb_build_array('run.queued', p_told))),
      runs_audit(p_tenant, p_actor, 'run.started', 'run/' || id, p_told)
    FROM unnest(v_ids) AS id;
  RETURN (SELECT coalesce(jsonb_agg(jsonb_build_array(id, runs_nudge(p_tenant, id, NULL, ''))), '[]')
    FROM unnest(v_ids[:p_now]) AS id);
END $$;

-- Accept a run that somebody asked for: under the budgets of every scope that it belongs to, the
-- narrowest first, as they are now; one that is made later binds the runs begun after it.
-- Gives the number of its message; NULL: it stands in line.
CREATE OR REPLACE FUNCTION runs_accept(
  p_tenant uuid, p_actor text, p_like jsonb, p_seconds float8, p_limits jsonb, p_told jsonb,
  p_run jsonb, p_now int
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_like runs_run := jsonb_populate_record(NULL::runs_run, p_like);
BEGIN
  PERFORM runs_tenant(p_tenant);
  SELECT team_id INTO v_like.team_id FROM policy_principal WHERE id = v_like.principal_id;
  SELECT coalesce(array_agg(b.id ORDER BY
      array_position('{thread,user,agent,team,tenant}', b.scope::text), b.id), '{}')
    INTO v_like.budget_ids FROM policy_budget AS b
    WHERE b.tenant_id = p_tenant AND (b.scope = 'tenant'
      OR b.scope = 'thread' AND b.scope_id = v_like.thread_id
      OR b.scope = 'user' AND b.scope_id = v_like.principal_id
      OR b.scope = 'team' AND b.scope_id = v_like.team_id
      OR b.scope = 'agent' AND b.scope_id =
        (SELECT agent_id FROM runs_agentversion WHERE id = v_like.agent_version_id));
  v_like.deadline_at := runs_in(p_seconds);
  RETURN runs_put_runs(p_tenant, p_actor, to_jsonb(v_like), p_limits, p_told,
    jsonb_build_array(p_run), p_now) -> 0 -> 1;
END $$;
