-- Money is set aside before it is spent: two functions, called inside the engine's own.
--
--   policy_reserve   sets amounts aside in every budget named, or in none; says which unit lacks,
--                    or 'reserved' where all would fit if calls under way cost nothing
--   policy_settle    gives a reservation back and books what was really spent
--
-- Budgets are locked in the order of their ids, after the run (lock order: run, task,
-- approval, effect, budget, join, outbox).

CREATE OR REPLACE FUNCTION policy_reserve(
  p_tenant uuid, p_budgets uuid[],
  p_cost numeric, p_tokens bigint, p_model_calls bigint, p_tool_calls bigint
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_lacking text;
BEGIN
  IF cardinality(p_budgets) = 0 THEN
    RETURN NULL;
  END IF;
  PERFORM 1 FROM policy_budget
    WHERE tenant_id = p_tenant AND id = ANY (p_budgets) ORDER BY id FOR NO KEY UPDATE;
  SELECT CASE
      WHEN cost_spent + cost_reserved + p_cost > cost_limit AND p_cost > 0 THEN 'cost'
      WHEN tokens_spent + tokens_reserved + p_tokens > tokens_limit AND p_tokens > 0 THEN 'tokens'
      WHEN model_calls_spent + model_calls_reserved + p_model_calls > model_calls_limit
        AND p_model_calls > 0 THEN 'model_calls'
      WHEN tool_calls_spent + tool_calls_reserved + p_tool_calls > tool_calls_limit
        AND p_tool_calls > 0 THEN 'tool_calls'
    END AS unit
    INTO v_lacking
    FROM policy_budget
    WHERE tenant_id = p_tenant AND id = ANY (p_budgets)
    ORDER BY unit NULLS LAST LIMIT 1;
  IF v_lacking IS NOT NULL THEN
    PERFORM 1 FROM policy_budget
      WHERE tenant_id = p_tenant AND id = ANY (p_budgets) AND (
        cost_spent + p_cost > cost_limit AND p_cost > 0
        OR tokens_spent + p_tokens > tokens_limit AND p_tokens > 0
        OR model_calls_spent + model_calls_reserved + p_model_calls > model_calls_limit
          AND p_model_calls > 0
        OR tool_calls_spent + tool_calls_reserved + p_tool_calls > tool_calls_limit
          AND p_tool_calls > 0);
    RETURN CASE WHEN FOUND THEN v_lacking ELSE 'reserved' END;
  END IF;
  UPDATE policy_budget SET
      cost_reserved = cost_reserved + p_cost,
      tokens_reserved = tokens_reserved + p_tokens,
      model_calls_reserved = model_calls_reserved + p_model_calls,
      tool_calls_reserved = tool_calls_reserved + p_tool_calls
    WHERE tenant_id = p_tenant AND id = ANY (p_budgets);
  RETURN NULL;
END $$;

-- What no longer fits under a limit, because the other side charged more than its worst
-- case, is booked as overdraft: the limit stays true, and the excess stays visible.
CREATE OR REPLACE FUNCTION policy_booked(p_limit numeric, p_spent numeric, p_still_reserved numeric, p_new numeric)
RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_limit IS NULL THEN p_new
    ELSE least(p_new, greatest(p_limit - p_spent - p_still_reserved, 0)) END
$$;

CREATE OR REPLACE FUNCTION policy_settle(
  p_tenant uuid, p_budgets uuid[],
  p_reserved_cost numeric, p_reserved_tokens bigint,
  p_cost numeric, p_tokens bigint, p_model_calls bigint, p_tool_calls bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM policy_budget
    WHERE tenant_id = p_tenant AND id = ANY (p_budgets) ORDER BY id FOR NO KEY UPDATE;
  UPDATE policy_budget AS b SET
      cost_reserved = b.cost_reserved - p_reserved_cost,
      cost_spent = b.cost_spent + n.cost,
      cost_overdraft = b.cost_overdraft + p_cost - n.cost,
      tokens_reserved = b.tokens_reserved - p_reserved_tokens,
      tokens_spent = b.tokens_spent + n.tokens,
      tokens_overdraft = b.tokens_overdraft + p_tokens - n.tokens,
      model_calls_reserved = b.model_calls_reserved - p_model_calls,
      model_calls_spent = b.model_calls_spent + p_model_calls,
      tool_calls_reserved = b.tool_calls_reserved - p_tool_calls,
      tool_calls_spent = b.tool_calls_spent + p_tool_calls
    FROM (
      SELECT id,
        policy_booked(cost_limit, cost_spent, cost_reserved - p_reserved_cost, p_cost) AS cost,
        policy_booked(tokens_limit, tokens_spent, tokens_reserved - p_reserved_tokens, p_tokens)::bigint
          AS tokens
      FROM policy_budget WHERE tenant_id = p_tenant AND id = ANY (p_budgets)
    ) AS n
    WHERE b.tenant_id = p_tenant AND b.id = n.id;
END $$;
