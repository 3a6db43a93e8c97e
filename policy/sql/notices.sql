-- Notices of what happens to approvals: written with it, or not at all.

-- Leave a notice for every subscription that wants this event. What a call holds, and what people
-- wrote, is in it only where the subscription includes that. For the open scope's tenant, or by
-- the system.
CREATE OR REPLACE FUNCTION policy_notify(p_tenant uuid, p_approval uuid, p_event text, p_detail jsonb)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO policy_notice (tenant_id, subscription_id, event, approval_id, run_id, body)
    SELECT p_tenant, s.id, p_event, a.id, a.run_id, jsonb_build_object(
      'type', p_event,
      'timestamp', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
      'data', jsonb_build_object(
          'approval', a.id, 'run', a.run_id, 'agent', a.agent, 'tool', a.tool, 'kind', a.kind,
          'risk', a.risk, 'state', a.state,
          'expires_at', to_char(a.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
        || p_detail
        || CASE WHEN 'arguments' = ANY (s.include)
               AND a.kind <> 'answer'  -- nobody has got it yet
             THEN jsonb_build_object('arguments', a.arguments) ELSE '{}' END
        || CASE WHEN 'reasons' = ANY (s.include)
             THEN jsonb_build_object('reason', a.reason, 'decision_reason', a.decision_reason)
             ELSE '{}' END)
    FROM policy_subscription AS s
    JOIN policy_approval AS a ON a.id = p_approval AND a.tenant_id = p_tenant
    WHERE s.tenant_id = p_tenant AND s.enabled AND p_event = ANY (s.events)
$$;

-- When to say that a question is about to run out: a quarter of its time before, an hour at most.
CREATE OR REPLACE FUNCTION policy_warn_at(p_from timestamptz, p_ends timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT p_ends - least(interval '1 hour', (p_ends - p_from) / 4)
$$;

-- Say of open questions that they are about to run out, each once. Crosses tenants: the sweeper's.
CREATE OR REPLACE FUNCTION policy_warn(p_batch int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_row policy_approval;
  v_count int := 0;
BEGIN
  FOR v_row IN
    SELECT * FROM policy_approval WHERE state = 'open' AND warn_at <= clock_timestamp()
    ORDER BY warn_at LIMIT p_batch FOR UPDATE SKIP LOCKED
  LOOP
    UPDATE policy_approval SET warn_at = NULL WHERE id = v_row.id;
    PERFORM policy_notify(v_row.tenant_id, v_row.id, 'approval.expiring', '{}');
    v_count := v_count + 1;
  END LOOP;
  RETURN v_count;
END $$;

-- Choose notices to send now: a few of each subscription at a time, so that one receiver that
-- hangs does not keep the senders from the others. Crosses tenants: the sweeper's.
CREATE OR REPLACE FUNCTION policy_notices_due(p_batch int, p_each int)
RETURNS TABLE (tenant uuid, notice uuid) LANGUAGE sql AS $$
  UPDATE policy_notice SET nudged_at = clock_timestamp() WHERE id IN (
    SELECT u.id FROM (
      SELECT n.id, n.next_at, n.nudged_at, row_number() OVER (
        PARTITION BY n.subscription_id ORDER BY (n.state = 'sending') DESC, n.next_at, n.id) AS place
      FROM policy_notice AS n
      WHERE n.state = 'sending' OR (n.state = 'waiting' AND n.next_at <= clock_timestamp())
    ) AS u
    WHERE u.place <= p_each AND u.next_at <= clock_timestamp()
      AND coalesce(u.nudged_at, '-infinity') < clock_timestamp() - interval '25 seconds'
    ORDER BY u.next_at LIMIT p_batch)
  RETURNING tenant_id, id
$$;
