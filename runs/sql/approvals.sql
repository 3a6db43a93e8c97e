-- Questions to people: asked with the effect that waits, and moved on by time.

-- Ask: one row with the rule's terms, so that a later change of policy changes nothing of it.
CREATE OR REPLACE FUNCTION runs_ask(p_tenant uuid, p_run runs_run, p_place text, p_effect jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_ask jsonb := p_effect -> 'approval';
  v_terms jsonb := coalesce(v_ask -> 'terms', '{}');
  v_now timestamptz := clock_timestamp();
  v_ends timestamptz := v_now + make_interval(secs => (v_ask ->> 'seconds')::float8);
BEGIN
  INSERT INTO policy_approval (
      id, tenant_id, kind, state, version, run_id, effect_key, agent, tool, tool_version,
      arguments, digest, policy_version, rule, reason, created_at, expires_at,
      decided_by, decision_reason, risk, started_by, terms, groups, owners, rung, next_at,
      extended, triggers, signals, proposed, warn_at)
    VALUES (
      (v_ask ->> 'id')::uuid, p_tenant, v_ask ->> 'kind', 'open', 1, p_run.id, p_place,
      p_run.agent_name, p_effect ->> 'name', p_effect ->> 'version', p_effect -> 'request',
      v_ask ->> 'digest', v_ask ->> 'policy_version', v_ask ->> 'rule',
      left(v_ask ->> 'reason', 500), v_now, v_ends, '', '',
      coalesce(v_ask ->> 'risk', ''), coalesce(p_run.principal_id::text, ''), v_terms,
      runs_names(v_terms -> 'groups'), runs_names(v_terms -> 'owners'), 0,
      runs_next(v_terms, 0, v_now, v_ends), false,
      coalesce(v_ask -> 'triggers', '[]'), coalesce(v_ask -> 'signals', '{}'),
      nullif(v_ask -> 'proposed', 'null'), policy_warn_at(v_now, v_ends));
  PERFORM policy_notify(p_tenant, (v_ask ->> 'id')::uuid, 'approval.requested', '{}');
END $$;

CREATE OR REPLACE FUNCTION runs_names(p_names jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(array_agg(n), '{}') FROM jsonb_array_elements_text(coalesce(p_names, '[]')) AS n
$$;

-- When the sweeper has to look again: at the next rung of the ladder, or at the end.
CREATE OR REPLACE FUNCTION runs_next(p_terms jsonb, p_rung int, p_asked timestamptz, p_ends timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT least(p_ends,
    p_asked + make_interval(secs => (p_terms -> 'escalate' -> p_rung ->> 'after')::float8))
$$;

-- One thing that was done to an approval, by nobody's hand.
CREATE OR REPLACE FUNCTION runs_approval_did(p_row policy_approval, p_action text, p_reason text,
  p_is_final boolean, p_detail jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO policy_approvaldecision (
      tenant_id, approval_id, action, by, name, reason, digest, version, is_final, detail)
    VALUES (p_row.tenant_id, p_row.id, p_action, 'system:deadline', 'the deadline', p_reason,
      p_row.digest, p_row.version, p_is_final, p_detail);
END $$;

-- Take an open approval up the rungs that are due: those named there may decide, too. Where
-- everybody may, everybody still may.
CREATE OR REPLACE FUNCTION runs_climb(p_row policy_approval) RETURNS policy_approval
LANGUAGE plpgsql AS $$
DECLARE
  v_rung jsonb;
BEGIN
  LOOP
    v_rung := p_row.terms -> 'escalate' -> p_row.rung;
    EXIT WHEN v_rung IS NULL OR p_row.extended
      OR p_row.created_at + make_interval(secs => (v_rung ->> 'after')::float8)
        > least(clock_timestamp(), p_row.expires_at);
    IF cardinality(p_row.groups) + cardinality(p_row.owners) > 0 THEN
      p_row.groups := p_row.groups || runs_names(v_rung -> 'groups');
      p_row.owners := p_row.owners || runs_names(v_rung -> 'owners');
    END IF;
    p_row.rung := p_row.rung + 1;
    p_row.escalated_at := clock_timestamp();
    PERFORM runs_approval_did(p_row, 'escalate', 'nobody answered yet', false,
      v_rung || jsonb_build_object('rung', p_row.rung));
    PERFORM runs_audit(p_row.tenant_id, 'system:sweeper', 'approval.escalated',
      'approval/' || p_row.id, v_rung);
  END LOOP;
  p_row.next_at := runs_next(p_row.terms, p_row.rung, p_row.created_at, p_row.expires_at);
  IF p_row.extended THEN
    p_row.next_at := p_row.expires_at;
  END IF;
  RETURN p_row;
END $$;

-- What the terms say of a question whose time is over: ended, or handed to the last rung once.
CREATE OR REPLACE FUNCTION runs_time_is_over(p_row policy_approval) RETURNS policy_approval
LANGUAGE plpgsql AS $$
DECLARE
  v_default text := coalesce(p_row.terms ->> 'on_timeout', 'reject');
  v_last jsonb := p_row.terms -> 'escalate' -> -1;
BEGIN
  IF v_default = 'escalate' AND NOT p_row.extended AND v_last IS NOT NULL THEN
    p_row.extended := true;
    p_row.escalated_at := clock_timestamp();
    p_row.groups := runs_names(v_last -> 'groups');
    p_row.owners := runs_names(v_last -> 'owners');
    p_row.claimed_by := '';
    p_row.claimed_name := '';
    p_row.claimed_until := NULL;
    p_row.expires_at := runs_in((p_row.terms ->> 'expires_after')::float8);
    p_row.next_at := p_row.expires_at;
    p_row.warn_at := policy_warn_at(clock_timestamp(), p_row.expires_at);
    PERFORM runs_approval_did(p_row, 'escalate', 'nobody answered in time', false, v_last);
    PERFORM runs_audit(p_row.tenant_id, 'system:sweeper', 'approval.escalated',
      'approval/' || p_row.id, v_last);
    RETURN p_row;
  END IF;
  p_row.decided_at := clock_timestamp();
  p_row.version := p_row.version + 1;
  IF v_default = 'approve' AND p_row.risk = 'low' AND p_row.kind = 'tool_call' THEN
    p_row.state := 'approved';
    p_row.decided_by := 'the deadline';
    p_row.decision_reason := 'nobody answered in time, and the rule approves then';
    PERFORM runs_approval_did(p_row, 'approve', p_row.decision_reason, true, '{}');
    PERFORM runs_audit(p_row.tenant_id, 'system:sweeper', 'approval.decided',
      'approval/' || p_row.id, jsonb_build_object('decision', 'approve', 'digest', p_row.digest,
        'reason', p_row.decision_reason));
  ELSE
    p_row.state := 'expired';
    PERFORM runs_approval_did(p_row, 'expire', 'nobody answered in time', true, '{}');
    PERFORM runs_audit(p_row.tenant_id, 'system:sweeper', 'approval.expired',
      'approval/' || p_row.id, '{}');
  END IF;
  RETURN p_row;
END $$;

-- Move on every open approval whose next moment has come. Gives those runs that something
-- may have happened to: [tenant, run, event, data]. Crosses tenants: the sweeper's.
CREATE OR REPLACE FUNCTION runs_approvals_due(p_batch int)
RETURNS TABLE (tenant uuid, run uuid, event text, data jsonb) LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid;
  v_row policy_approval;
  v_escalated timestamptz;
BEGIN
  FOR v_id IN
    SELECT a.id FROM policy_approval AS a JOIN runs_run AS r ON r.id = a.run_id
    WHERE a.state = 'open' AND (a.next_at <= clock_timestamp()
      OR (a.next_at IS NULL AND a.expires_at <= clock_timestamp()))
    ORDER BY a.run_id, a.id LIMIT p_batch FOR NO KEY UPDATE OF r SKIP LOCKED
  LOOP
    SELECT * INTO v_row FROM policy_approval WHERE id = v_id AND state = 'open' FOR UPDATE;
    CONTINUE WHEN NOT FOUND;
    v_escalated := v_row.escalated_at;
    v_row := runs_climb(v_row);
    IF v_row.expires_at <= clock_timestamp() THEN
      v_row := runs_time_is_over(v_row);
    END IF;
    UPDATE policy_approval SET state = v_row.state, version = v_row.version,
        decided_at = v_row.decided_at, decided_by = v_row.decided_by,
        decision_reason = v_row.decision_reason, groups = v_row.groups, owners = v_row.owners,
        rung = v_row.rung, next_at = v_row.next_at, escalated_at = v_row.escalated_at,
        extended = v_row.extended, expires_at = v_row.expires_at, warn_at = v_row.warn_at,
        claimed_by = v_row.claimed_by, claimed_name = v_row.claimed_name,
        claimed_until = v_row.claimed_until
      WHERE id = v_id;
    IF v_row.escalated_at IS DISTINCT FROM v_escalated AND v_row.state = 'open' THEN
      PERFORM policy_notify(v_row.tenant_id, v_id, 'approval.escalated',
        jsonb_build_object('groups', to_jsonb(v_row.groups), 'owners', to_jsonb(v_row.owners)));
    END IF;
    tenant := v_row.tenant_id;
    run := v_row.run_id;
    data := jsonb_build_object('approval', v_id);
    IF v_row.state = 'approved' THEN
      event := 'approval.decided';
      data := data || jsonb_build_object('decision', 'approve', 'by', 'the deadline');
      PERFORM policy_notify(tenant, v_id, event, data - 'approval');
      RETURN NEXT;
    ELSIF v_row.state = 'expired' THEN
      event := 'approval.expired';
      PERFORM policy_notify(tenant, v_id, event, '{}');
      RETURN NEXT;
    END IF;
  END LOOP;
END $$;

-- What an agent that was asked says: {decision, reason, result}. An object that names a decision
-- is taken at its word, also where a model wrote it as text (a react agent's `answer`); anything
-- else is an answer. A run
-- that did not succeed says nothing.
CREATE OR REPLACE FUNCTION runs_advice(p_state text, p_output jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_answer jsonb := CASE WHEN p_output ->> 'answer' IS NOT NULL AND NOT p_output ? 'decision'
    THEN p_output -> 'answer' ELSE p_output END;
  v_said jsonb := v_answer;
BEGIN
  IF p_state <> 'succeeded' THEN
    RETURN jsonb_build_object('decision', 'none', 'reason', 'its run ended as ' || p_state);
  END IF;
  IF jsonb_typeof(v_answer) = 'string' AND btrim(v_answer #>> '{}') LIKE '{%' THEN
    BEGIN
      v_said := (v_answer #>> '{}')::jsonb;
    EXCEPTION WHEN data_exception THEN
      v_said := v_answer;
    END;
  END IF;
  IF jsonb_typeof(v_said) = 'object' AND v_said ->> 'decision' IN ('approve', 'reject', 'respond') THEN
    RETURN jsonb_build_object('decision', v_said ->> 'decision',
      'reason', left(coalesce(v_said ->> 'reason', ''), 2000), 'result', v_said -> 'result');
  END IF;
  RETURN jsonb_build_object('decision', 'respond', 'reason', '', 'result', v_answer);
END $$;

-- Say whether an agent's word ends this question by itself: its terms allow it, one is enough,
-- nobody is at it; and approving is for what is small, and can be undone or repeated.
CREATE OR REPLACE FUNCTION runs_agent_may(p_row policy_approval, p_advice jsonb) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT p_row.kind = 'tool_call'
    AND coalesce((p_row.terms ->> 'quorum')::int, 1) = 1
    AND NOT coalesce((p_row.terms ->> 'four_eyes')::boolean, false)
    AND (p_row.claimed_until IS NULL OR p_row.claimed_until <= clock_timestamp())
    AND coalesce(CASE p_advice ->> 'decision'
      WHEN 'respond' THEN p_row.terms ->> 'agents_may' IN ('respond', 'decide')
        AND coalesce(p_advice -> 'result', 'null') NOT IN ('null', '""')
      WHEN 'reject' THEN p_row.terms ->> 'agents_may' IN ('respond', 'decide')
        AND btrim(p_advice ->> 'reason') <> ''
      WHEN 'approve' THEN p_row.terms ->> 'agents_may' = 'decide' AND p_row.risk IN ('low', 'medium')
        AND EXISTS (SELECT FROM runs_effect AS e
          WHERE e.run_id = p_row.run_id AND e.approval_id = p_row.id AND e.decision ? 'facts'
            AND (e.decision -> 'facts' ->> 'effect' <> 'once'
              OR (e.decision -> 'facts' ->> 'reversible')::boolean))
      ELSE false END, false)
$$;

-- Take in what agents said that were asked about open questions: as their decision where the terms
-- allow it, else as advice beside the question. Gives the runs to wake, as runs_approvals_due.
-- Crosses tenants: the sweeper's.
CREATE OR REPLACE FUNCTION runs_advised(p_batch int)
RETURNS TABLE (tenant uuid, run uuid, event text, data jsonb) LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid;
  v_row policy_approval;
  v_asked runs_run;
  v_advice jsonb;
  v_name text;
  v_ends boolean;
BEGIN
  FOR v_id IN
    SELECT a.id FROM policy_approval AS a JOIN runs_run AS r ON r.id = a.run_id
      JOIN runs_run AS d ON d.id = a.delegate_run_id AND d.finished_at IS NOT NULL
    WHERE a.state = 'open' AND a.delegate_run_id IS NOT NULL AND a.expires_at > clock_timestamp()
    ORDER BY a.run_id, a.id LIMIT p_batch FOR NO KEY UPDATE OF r SKIP LOCKED
  LOOP
    SELECT * INTO v_row FROM policy_approval
      WHERE id = v_id AND state = 'open' AND delegate_run_id IS NOT NULL FOR UPDATE;
    CONTINUE WHEN NOT FOUND;
    SELECT * INTO v_asked FROM runs_run WHERE id = v_row.delegate_run_id;
    v_advice := runs_advice(v_asked.state, v_asked.output);
    v_name := 'agent ' || v_asked.agent_name;
    v_ends := runs_agent_may(v_row, v_advice);
    tenant := v_row.tenant_id;
    run := v_row.run_id;
    data := jsonb_build_object('approval', v_id, 'by', v_name, 'decision', v_advice -> 'decision');
    INSERT INTO policy_approvaldecision (
        tenant_id, approval_id, action, by, name, reason, digest, version, is_final, detail)
      VALUES (tenant, v_id, CASE WHEN v_ends THEN v_advice ->> 'decision' ELSE 'comment' END,
        'run:' || v_asked.id, left(v_name, 200), v_advice ->> 'reason', v_row.digest, v_row.version,
        v_ends, v_advice || jsonb_build_object('run', v_asked.id));
    PERFORM runs_audit(tenant, left('run:' || v_asked.id, 200),
      CASE WHEN v_ends THEN 'approval.decided' ELSE 'approval.advised' END, 'approval/' || v_id,
      data || jsonb_build_object('run', v_asked.id, 'digest', v_row.digest));
    UPDATE policy_approval SET delegate_run_id = NULL WHERE id = v_id;
    IF NOT v_ends THEN
      PERFORM runs_tell(tenant, run, 'approval.advised', data || jsonb_build_object('run', v_asked.id));
      CONTINUE;
    END IF;
    UPDATE policy_approval SET version = version + 1, decided_at = clock_timestamp(),
        state = CASE v_advice ->> 'decision' WHEN 'respond' THEN 'responded'
          WHEN 'reject' THEN 'rejected' ELSE 'approved' END,
        decided_by = left(v_name, 200), decision_reason = v_advice ->> 'reason',
        result = CASE WHEN v_advice ->> 'decision' = 'respond' THEN v_advice -> 'result' END
      WHERE id = v_id;
    PERFORM policy_notify(tenant, v_id, 'approval.decided', data - 'approval');
    event := 'approval.decided';
    RETURN NEXT;
  END LOOP;
END $$;
