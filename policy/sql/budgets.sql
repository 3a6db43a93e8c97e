-- Money is set aside before it is spent: two functions, called inside the engine's own.
--
--   policy_reserve   sets amounts aside in every budget named, or in none; says which unit lacks,
--                    or 'reserved' where all would fit if calls under way cost nothing; and the
--                    moment, by which policy_settle finds the periods again
--   policy_settle    gives a reservation back and books what was really spent, in the periods in
--                    which it was made
--   policy_turn      what time does to budgets: the next period begins, raises for a time end
--
-- The two are planned once for each connection, not anew for each array of ids, as PostgreSQL
-- would by itself: the plan is the same for every array.
--
-- The twin in Python is policy/core/money.py and periods.py. Budgets are locked in the order of
-- their ids, after the run (lock order: run, family, task, approval, effect, budget, join, outbox). The
-- rows of closed periods are changed only under the lock of their budget.

DROP FUNCTION IF EXISTS policy_reserve(uuid, uuid[], numeric, bigint, bigint, bigint);
DROP FUNCTION IF EXISTS policy_settle(uuid, uuid[], numeric, bigint, numeric, bigint, bigint, bigint);

-- The alerts that a unit is due: bits 1, 2, 4 for 50, 80 and 100 % of the soft limit, 8, 16, 32
-- of the hard one.
CREATE OR REPLACE FUNCTION policy_reached(p_soft numeric, p_bar numeric, p_used numeric)
RETURNS int LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_used > 0 THEN
    coalesce((p_used * 2 >= p_soft)::int + 2 * (p_used * 5 >= p_soft * 4)::int + 4 * (p_used >= p_soft)::int, 0)
    + coalesce(8 * (p_used * 2 >= p_bar)::int + 16 * (p_used * 5 >= p_bar * 4)::int + 32 * (p_used >= p_bar)::int, 0)
    ELSE 0 END
$$;

-- Tell people, in the audit log, one line for each new bit, and by a notice to every subscription
-- that wants to be told. p_run is whose booking it was.
CREATE OR REPLACE FUNCTION policy_alert(p_budget policy_budget, p_new int, p_run uuid)
RETURNS void LANGUAGE sql AS $$
  WITH told AS (INSERT INTO policy_auditevent (tenant_id, actor, action, subject, detail)
    SELECT p_budget.tenant_id, 'system:budgets', 'budget.alerted', 'budget/' || p_budget.id,
      jsonb_build_object('unit', u.name, 'bar', CASE WHEN bit % 6 < 3 THEN 'soft' ELSE 'hard' END,
        'percent', (ARRAY[50, 80, 100])[bit % 3 + 1], 'run', p_run,
        'limit', (CASE WHEN bit % 6 < 3 THEN u.soft ELSE u.bar END)::text, 'used', u.used::text,
        'period_starts_at', p_budget.period_starts_at)
    FROM (VALUES
      (0, 'cost', p_budget.cost_soft, p_budget.cost_limit - p_budget.cost_lapsed,
        p_budget.cost_spent + p_budget.cost_overdraft),
      (1, 'tokens', p_budget.tokens_soft, p_budget.tokens_limit - p_budget.tokens_lapsed,
        p_budget.tokens_spent + p_budget.tokens_overdraft),
      (2, 'model_calls', p_budget.model_calls_soft,
        p_budget.model_calls_limit - p_budget.model_calls_lapsed,
        p_budget.model_calls_spent + p_budget.model_calls_overdraft),
      (3, 'tool_calls', p_budget.tool_calls_soft,
        p_budget.tool_calls_limit - p_budget.tool_calls_lapsed,
        p_budget.tool_calls_spent + p_budget.tool_calls_overdraft)
    ) AS u (n, name, soft, bar, used), generate_series(0, 23) AS bit
    WHERE bit / 6 = u.n AND (p_new >> bit) & 1 = 1
    ORDER BY bit
    RETURNING detail)
  INSERT INTO policy_notice (tenant_id, subscription_id, event, budget_id, run_id, body)
    SELECT p_budget.tenant_id, s.id, 'budget.alerted', p_budget.id, p_run, jsonb_build_object(
      'type', 'budget.alerted',
      'timestamp', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
      'data', told.detail || jsonb_build_object('budget', p_budget.id, 'scope', p_budget.scope,
        'scope_id', p_budget.scope_id, 'period', p_budget.period))
    FROM told CROSS JOIN policy_subscription AS s
    WHERE s.tenant_id = p_budget.tenant_id AND s.enabled AND 'budget.alerted' = ANY (s.events)
$$;

-- The period that a moment lies in; one of them begins at the anchor. In UTC.
CREATE OR REPLACE FUNCTION policy_span(
  p_period text, p_anchor timestamptz, p_now timestamptz,
  OUT starts_at timestamptz, OUT ends_at timestamptz
) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_from timestamp := p_anchor AT TIME ZONE 'UTC';
  v_to timestamp := p_now AT TIME ZONE 'UTC';
  v_length interval := CASE p_period WHEN 'day' THEN interval '24 hours' ELSE interval '168 hours' END;
  v_count int;
BEGIN
  IF p_period = 'none' THEN
    RETURN;
  ELSIF p_period = 'month' THEN
    v_count := (extract(year FROM v_to) - extract(year FROM v_from)) * 12
      + extract(month FROM v_to) - extract(month FROM v_from);
    IF v_from + make_interval(months => v_count) > v_to THEN
      v_count := v_count - 1;
    END IF;
    starts_at := (v_from + make_interval(months => v_count)) AT TIME ZONE 'UTC';
    ends_at := (v_from + make_interval(months => v_count + 1)) AT TIME ZONE 'UTC';
  ELSE
    v_count := floor(extract(epoch FROM v_to - v_from) / extract(epoch FROM v_length));
    starts_at := p_anchor + v_count * v_length;
    ends_at := starts_at + v_length;
  END IF;
END $$;

-- Keep a budget's period, as it stands, as one that is over.
CREATE OR REPLACE FUNCTION policy_close_period(b policy_budget, p_ends_at timestamptz)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO policy_budgetperiod (tenant_id, budget_id, starts_at, ends_at,
      cost_limit, cost_spent, cost_reserved, cost_overdraft,
      tokens_limit, tokens_spent, tokens_reserved, tokens_overdraft,
      model_calls_limit, model_calls_spent, model_calls_reserved, model_calls_overdraft,
      tool_calls_limit, tool_calls_spent, tool_calls_reserved, tool_calls_overdraft)
    VALUES (b.tenant_id, b.id, coalesce(b.period_starts_at, b.created_at), p_ends_at,
      b.cost_limit, b.cost_spent, b.cost_reserved, b.cost_overdraft,
      b.tokens_limit, b.tokens_spent, b.tokens_reserved, b.tokens_overdraft,
      b.model_calls_limit, b.model_calls_spent, b.model_calls_reserved, b.model_calls_overdraft,
      b.tool_calls_limit, b.tool_calls_spent, b.tool_calls_reserved, b.tool_calls_overdraft);
  INSERT INTO policy_auditevent (tenant_id, actor, action, subject, detail)
    VALUES (b.tenant_id, 'system:budgets', 'budget.period_closed', 'budget/' || b.id,
      jsonb_build_object('ended_at', p_ends_at, 'cost', (b.cost_spent + b.cost_overdraft)::text))
$$;

-- Begin with nothing spent or set aside: what was stands in the period that was closed.
CREATE OR REPLACE FUNCTION policy_empty(p_budget uuid) RETURNS void LANGUAGE sql AS $$
  UPDATE policy_budget SET alerted = 0,
      cost_spent = 0, cost_reserved = 0, cost_overdraft = 0,
      tokens_spent = 0, tokens_reserved = 0, tokens_overdraft = 0,
      model_calls_spent = 0, model_calls_reserved = 0, model_calls_overdraft = 0,
      tool_calls_spent = 0, tool_calls_reserved = 0, tool_calls_overdraft = 0
    WHERE id = p_budget
$$;

-- Close a budget's period before its time, since it gets another. The budget is locked.
CREATE OR REPLACE FUNCTION policy_close_now(p_budget uuid) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
  b policy_budget;
  v_now timestamptz;
BEGIN
  SELECT * INTO b FROM policy_budget WHERE id = p_budget FOR NO KEY UPDATE;
  v_now := greatest(clock_timestamp(), b.period_starts_at);
  PERFORM policy_close_period(b, v_now);
  PERFORM policy_empty(p_budget);
  RETURN v_now;
END $$;

-- The limit that is left when a part of it is gone: the bar, or what is taken already if that is
-- more.
CREATE OR REPLACE FUNCTION policy_limit(p_limit numeric, p_lapsed numeric, p_gone numeric, p_taken numeric)
RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_limit IS NOT NULL THEN greatest(p_limit - p_lapsed - p_gone, p_taken) END
$$;

-- Move budgets on whose time has come: close the period and begin the one that is now, with
-- nothing spent; take back what raises granted for a time. What of that is still taken stays
-- in the limit as lapsed.
CREATE OR REPLACE FUNCTION policy_turn(p_tenant uuid, p_budgets uuid[], p_now timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  b policy_budget;
  v_over boolean;
  v_next record;
  v_keeps jsonb;
  v_ends timestamptz;
  v_gone numeric[];
BEGIN
  FOR b IN SELECT * FROM policy_budget
    WHERE tenant_id = p_tenant AND id = ANY (p_budgets) AND turns_at <= p_now
    ORDER BY id FOR NO KEY UPDATE
  LOOP
    v_over := coalesce(b.period_ends_at <= p_now, false);
    IF v_over THEN
      PERFORM policy_close_period(b, b.period_ends_at);
      SELECT * INTO v_next FROM policy_span(b.period, b.period_anchor, p_now);
      PERFORM policy_empty(b.id);
      UPDATE policy_budget SET period_starts_at = v_next.starts_at, period_ends_at = v_next.ends_at
        WHERE id = b.id;
      b.period_ends_at := v_next.ends_at;
    END IF;
    WITH extra AS (
      SELECT e, e ->> 'unit' AS unit, (e ->> 'amount')::numeric AS amount,
        (e ->> 'until')::timestamptz AS until,
        CASE WHEN e ->> 'until' IS NULL THEN v_over ELSE (e ->> 'until')::timestamptz <= p_now END AS ended
      FROM jsonb_array_elements(b.extras) AS e
    ) SELECT coalesce(jsonb_agg(e) FILTER (WHERE NOT ended), '[]'),
        least(b.period_ends_at, min(until) FILTER (WHERE NOT ended)),
        ARRAY[coalesce(sum(amount) FILTER (WHERE ended AND unit = 'cost'), 0),
          coalesce(sum(amount) FILTER (WHERE ended AND unit = 'tokens'), 0),
          coalesce(sum(amount) FILTER (WHERE ended AND unit = 'model_calls'), 0),
          coalesce(sum(amount) FILTER (WHERE ended AND unit = 'tool_calls'), 0)]
      INTO v_keeps, v_ends, v_gone FROM extra;
    UPDATE policy_budget AS n SET extras = v_keeps, turns_at = v_ends, version = n.version + 1,
        cost_limit = w.cost, cost_lapsed = coalesce(w.cost - (n.cost_limit - n.cost_lapsed - v_gone[1]), 0),
        tokens_limit = w.tokens,
        tokens_lapsed = coalesce(w.tokens - (n.tokens_limit - n.tokens_lapsed - v_gone[2]), 0),
        model_calls_limit = w.model_calls,
        model_calls_lapsed = coalesce(w.model_calls - (n.model_calls_limit - n.model_calls_lapsed - v_gone[3]), 0),
        tool_calls_limit = w.tool_calls,
        tool_calls_lapsed = coalesce(w.tool_calls - (n.tool_calls_limit - n.tool_calls_lapsed - v_gone[4]), 0)
      FROM (SELECT id,
          policy_limit(cost_limit, cost_lapsed, v_gone[1], cost_spent + cost_reserved) AS cost,
          policy_limit(tokens_limit, tokens_lapsed, v_gone[2], tokens_spent + tokens_reserved) AS tokens,
          policy_limit(model_calls_limit, model_calls_lapsed, v_gone[3],
            model_calls_spent + model_calls_reserved) AS model_calls,
          policy_limit(tool_calls_limit, tool_calls_lapsed, v_gone[4],
            tool_calls_spent + tool_calls_reserved) AS tool_calls
        FROM policy_budget) AS w
      WHERE n.id = b.id AND w.id = n.id;
    IF jsonb_array_length(v_keeps) < jsonb_array_length(b.extras) THEN
      INSERT INTO policy_auditevent (tenant_id, actor, action, subject, detail)
        VALUES (p_tenant, 'system:budgets', 'budget.raise_ended', 'budget/' || b.id,
          jsonb_build_object('extras', b.extras, 'left', v_keeps));
    END IF;
  END LOOP;
END $$;

-- The next moment at which a period of these budgets ends, if any has periods.
CREATE OR REPLACE FUNCTION policy_next_period(p_tenant uuid, p_budgets uuid[])
RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT min(period_ends_at) FROM policy_budget WHERE tenant_id = p_tenant AND id = ANY (p_budgets)
$$;

-- The first unit in which an amount does not fit: now, or even if calls under way cost nothing.
CREATE OR REPLACE FUNCTION policy_lacks(
  b policy_budget, p_cost numeric, p_tokens bigint, p_model_calls bigint, p_tool_calls bigint,
  p_for_good boolean
) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN p_cost > 0 AND b.cost_spent + p_cost
      + CASE WHEN p_for_good THEN 0 ELSE b.cost_reserved END > b.cost_limit - b.cost_lapsed THEN 'cost'
    WHEN p_tokens > 0 AND b.tokens_spent + p_tokens
      + CASE WHEN p_for_good THEN 0 ELSE b.tokens_reserved END > b.tokens_limit - b.tokens_lapsed THEN 'tokens'
    WHEN p_model_calls > 0 AND b.model_calls_spent + b.model_calls_reserved + p_model_calls
      > b.model_calls_limit - b.model_calls_lapsed THEN 'model_calls'
    WHEN p_tool_calls > 0 AND b.tool_calls_spent + b.tool_calls_reserved + p_tool_calls
      > b.tool_calls_limit - b.tool_calls_lapsed THEN 'tool_calls'
  END
$$;

-- Say in which unit an amount does not fit, and tell people, once, if it will not by itself.
CREATE OR REPLACE FUNCTION policy_refuse(
  p_tenant uuid, p_budgets uuid[], p_run uuid,
  p_cost numeric, p_tokens bigint, p_model_calls bigint, p_tool_calls bigint
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  b policy_budget;
  v_unit text;
  v_first text;
  v_bit int;
  v_good boolean := false;
BEGIN
  FOR b IN SELECT * FROM policy_budget
    WHERE tenant_id = p_tenant AND id = ANY (p_budgets) ORDER BY id
  LOOP
    v_first := least(v_first, policy_lacks(b, p_cost, p_tokens, p_model_calls, p_tool_calls, false));
    v_unit := policy_lacks(b, p_cost, p_tokens, p_model_calls, p_tool_calls, true);
    IF v_unit IS NOT NULL THEN
      v_good := true;
      v_bit := 32 << 6 * (array_position(ARRAY['cost', 'tokens', 'model_calls', 'tool_calls'], v_unit) - 1);
      IF b.alerted & v_bit = 0 THEN
        UPDATE policy_budget SET alerted = alerted | v_bit WHERE id = b.id;
        PERFORM policy_alert(b, v_bit, p_run);
      END IF;
    END IF;
  END LOOP;
  RETURN CASE WHEN v_good THEN v_first ELSE 'reserved' END;
END $$;

CREATE OR REPLACE FUNCTION policy_reserve(
  p_tenant uuid, p_budgets uuid[], p_run uuid,
  p_cost numeric, p_tokens bigint, p_model_calls bigint, p_tool_calls bigint,
  OUT lacking text, OUT reserved_at timestamptz
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off AS $$
DECLARE
  v_seen record;
BEGIN
  LOOP
    SELECT max(b.period_starts_at) AS began, min(b.turns_at) AS turns,
        bool_or(b.cost_spent + b.cost_reserved + p_cost > b.cost_limit - b.cost_lapsed AND p_cost > 0
          OR b.tokens_spent + b.tokens_reserved + p_tokens > b.tokens_limit - b.tokens_lapsed
            AND p_tokens > 0
          OR b.model_calls_spent + b.model_calls_reserved + p_model_calls
            > b.model_calls_limit - b.model_calls_lapsed AND p_model_calls > 0
          OR b.tool_calls_spent + b.tool_calls_reserved + p_tool_calls
            > b.tool_calls_limit - b.tool_calls_lapsed AND p_tool_calls > 0) AS lacks
      INTO v_seen
      FROM (SELECT * FROM policy_budget
        WHERE tenant_id = p_tenant AND id = ANY (p_budgets) ORDER BY id FOR NO KEY UPDATE) AS b;
    -- A clock that was set back does not leave a period: the moment names the period for good.
    reserved_at := greatest(clock_timestamp(), v_seen.began);
    EXIT WHEN v_seen.turns IS NULL OR v_seen.turns > reserved_at;
    PERFORM policy_turn(p_tenant, p_budgets, reserved_at);
  END LOOP;
  IF v_seen.lacks THEN
    lacking := policy_refuse(p_tenant, p_budgets, p_run, p_cost, p_tokens, p_model_calls, p_tool_calls);
    RETURN;
  END IF;
  UPDATE policy_budget SET
      cost_reserved = cost_reserved + p_cost,
      tokens_reserved = tokens_reserved + p_tokens,
      model_calls_reserved = model_calls_reserved + p_model_calls,
      tool_calls_reserved = tool_calls_reserved + p_tool_calls
    WHERE tenant_id = p_tenant AND id = ANY (p_budgets);
END $$;

-- What no longer fits under a limit, because the other side charged more than its worst
-- case, is booked as overdraft: the limit stays true, and the excess stays visible.
CREATE OR REPLACE FUNCTION policy_booked(p_limit numeric, p_spent numeric, p_still_reserved numeric, p_new numeric)
RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_limit IS NULL THEN p_new
    ELSE least(p_new, greatest(p_limit - p_spent - p_still_reserved, 0)) END
$$;

CREATE OR REPLACE FUNCTION policy_settle(
  p_tenant uuid, p_budgets uuid[], p_run uuid, p_reserved_at timestamptz,
  p_reserved_cost numeric, p_reserved_tokens bigint,
  p_cost numeric, p_tokens bigint, p_model_calls bigint, p_tool_calls bigint
) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off AS $$
DECLARE
  v_began timestamptz;
  v_told record;
BEGIN
  SELECT max(b.period_starts_at) INTO v_began
    FROM (SELECT period_starts_at FROM policy_budget
      WHERE tenant_id = p_tenant AND id = ANY (p_budgets) ORDER BY id FOR NO KEY UPDATE) AS b;
  FOR v_told IN
    UPDATE policy_budget AS b SET
        alerted = b.alerted | n.reached,
        cost_reserved = b.cost_reserved - p_reserved_cost,
        cost_spent = b.cost_spent + n.cost,
        cost_overdraft = b.cost_overdraft + p_cost - n.cost,
        cost_limit = CASE WHEN b.cost_lapsed = 0 THEN b.cost_limit ELSE b.cost_limit - n.cost_back END,
        cost_lapsed = CASE WHEN b.cost_lapsed = 0 THEN 0 ELSE b.cost_lapsed - n.cost_back END,
        tokens_reserved = b.tokens_reserved - p_reserved_tokens,
        tokens_spent = b.tokens_spent + n.tokens,
        tokens_overdraft = b.tokens_overdraft + p_tokens - n.tokens,
        tokens_limit = CASE WHEN b.tokens_lapsed = 0 THEN b.tokens_limit ELSE b.tokens_limit - n.tokens_back END,
        tokens_lapsed = CASE WHEN b.tokens_lapsed = 0 THEN 0 ELSE b.tokens_lapsed - n.tokens_back END,
        model_calls_reserved = b.model_calls_reserved - p_model_calls,
        model_calls_spent = b.model_calls_spent + p_model_calls,
        tool_calls_reserved = b.tool_calls_reserved - p_tool_calls,
        tool_calls_spent = b.tool_calls_spent + p_tool_calls
      FROM (
        SELECT c.id, c.alerted, c.cost, c.tokens,
          least(c.cost_lapsed, p_reserved_cost - c.cost) AS cost_back,
          least(c.tokens_lapsed, p_reserved_tokens - c.tokens) AS tokens_back,
          policy_reached(c.cost_soft, c.cost_limit - c.cost_lapsed, c.cost_spent + c.cost_overdraft + p_cost)
            | policy_reached(c.tokens_soft, c.tokens_limit - c.tokens_lapsed,
              c.tokens_spent + c.tokens_overdraft + p_tokens) << 6
            | policy_reached(c.model_calls_soft, c.model_calls_limit - c.model_calls_lapsed,
              c.model_calls_spent + c.model_calls_overdraft + p_model_calls) << 12
            | policy_reached(c.tool_calls_soft, c.tool_calls_limit - c.tool_calls_lapsed,
              c.tool_calls_spent + c.tool_calls_overdraft + p_tool_calls) << 18 AS reached
        FROM (SELECT *,
            policy_booked(cost_limit, cost_spent, cost_reserved - p_reserved_cost, p_cost) AS cost,
            policy_booked(tokens_limit, tokens_spent, tokens_reserved - p_reserved_tokens, p_tokens)::bigint
              AS tokens
          FROM policy_budget WHERE tenant_id = p_tenant AND id = ANY (p_budgets)) AS c
      ) AS n
      WHERE b.tenant_id = p_tenant AND b.id = n.id
        AND (b.period_starts_at IS NULL OR b.period_starts_at <= p_reserved_at)
      RETURNING b.id, b.alerted & ~n.alerted AS new
  LOOP
    IF v_told.new <> 0 THEN
      PERFORM policy_alert(b, v_told.new, p_run) FROM policy_budget AS b WHERE b.id = v_told.id;
    END IF;
  END LOOP;
  IF v_began > p_reserved_at THEN
    PERFORM policy_settle_late(p_tenant, p_budgets, p_reserved_at, p_reserved_cost, p_reserved_tokens,
      p_cost, p_tokens, p_model_calls, p_tool_calls);
  END IF;
END $$;

-- The same for those budgets whose period was another when the reservation was made.
CREATE OR REPLACE FUNCTION policy_settle_late(
  p_tenant uuid, p_budgets uuid[], p_reserved_at timestamptz,
  p_reserved_cost numeric, p_reserved_tokens bigint,
  p_cost numeric, p_tokens bigint, p_model_calls bigint, p_tool_calls bigint
) RETURNS void LANGUAGE sql AS $$
  UPDATE policy_budgetperiod AS p SET
      cost_reserved = p.cost_reserved - p_reserved_cost,
      cost_spent = p.cost_spent + n.cost,
      cost_overdraft = p.cost_overdraft + p_cost - n.cost,
      tokens_reserved = p.tokens_reserved - p_reserved_tokens,
      tokens_spent = p.tokens_spent + n.tokens,
      tokens_overdraft = p.tokens_overdraft + p_tokens - n.tokens,
      model_calls_reserved = p.model_calls_reserved - p_model_calls,
      model_calls_spent = p.model_calls_spent + p_model_calls,
      tool_calls_reserved = p.tool_calls_reserved - p_tool_calls,
      tool_calls_spent = p.tool_calls_spent + p_tool_calls
    FROM (SELECT DISTINCT ON (c.budget_id) c.id,
        policy_booked(c.cost_limit, c.cost_spent, c.cost_reserved - p_reserved_cost, p_cost) AS cost,
        policy_booked(c.tokens_limit, c.tokens_spent, c.tokens_reserved - p_reserved_tokens, p_tokens)::bigint
          AS tokens
      FROM policy_budgetperiod AS c JOIN policy_budget AS b ON b.id = c.budget_id
      WHERE c.tenant_id = p_tenant AND c.budget_id = ANY (p_budgets)
        AND b.period_starts_at > p_reserved_at AND c.ends_at > p_reserved_at
      ORDER BY c.budget_id, c.ends_at
    ) AS n
    WHERE p.id = n.id
$$;
