-- What a run was given and told: what provenance is worked out from. One look, and bounded.

-- The input that the run at the top of this run's family began with, back over forks; NULL where
-- it was forked from a child, whose input no person gave, or was asked about an approval, whose
-- words are those of another run.
CREATE OR REPLACE FUNCTION runs_first_input(p_top uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
  WITH RECURSIVE line AS (
    SELECT id, origin_run_id, parent_id, 0 AS back FROM runs_run WHERE id = p_top
    UNION ALL
    SELECT r.id, r.origin_run_id, r.parent_id, line.back + 1
    FROM line JOIN runs_run AS r ON r.id = line.origin_run_id WHERE line.back < 100
  )
  SELECT c.writes -> 'input' FROM line
    JOIN runs_checkpoint AS c ON c.run_id = line.id AND c.super_step = 0
    JOIN runs_run AS first ON first.id = line.id AND first.answers_id IS NULL
    WHERE line.origin_run_id IS NULL AND line.parent_id IS NULL
    ORDER BY line.back DESC LIMIT 1
$$;

-- What a run was told in super-steps from p_after, before p_upto, without what a rewind left
-- behind: the results of its tools, its children and its signals, in the order of their places.
-- A gap from checkpoint 0 on is a migration's: the state holds what was told in it.
CREATE OR REPLACE FUNCTION runs_read_told(p_tenant uuid, p_run uuid, p_after int, p_upto int)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
  v_top uuid;
  v_skipped jsonb;
  v_effects jsonb;
  v_spawn runs_effect;
  v_handed jsonb;
BEGIN
  PERFORM runs_tenant(p_tenant);
  SELECT * INTO v_run FROM runs_run WHERE id = p_run;
  v_top := coalesce(v_run.ancestor_ids[cardinality(v_run.ancestor_ids)], p_run);
  SELECT coalesce(head -> 'skipped', '[]') INTO v_skipped FROM runs_checkpoint
    WHERE run_id = p_run AND super_step <= p_upto ORDER BY super_step DESC LIMIT 1;
  SELECT jsonb_agg(told.line ORDER BY told.super_step, told.task COLLATE "C", told.ordinal)
    INTO v_effects FROM (
    SELECT e.super_step, e.task, e.ordinal, jsonb_build_object(
        'super_step', e.super_step, 'task', e.task, 'ordinal', e.ordinal, 'kind', e.kind,
        'name', e.name, 'effect', e.effect, 'state', e.state, 'sent', e.attempt > 0,
        'outcome', CASE WHEN length(e.outcome::text) <= 65536 THEN e.outcome END,
        'long', coalesce(length(e.outcome::text) > 65536, false),
        'arguments', e.request, 'label', e.decision -> 'label', 'approval', a.state) AS line
    FROM runs_effect AS e LEFT JOIN policy_approval AS a ON a.id = e.approval_id
    WHERE e.run_id = p_run AND e.super_step >= p_after AND e.super_step < p_upto
      AND e.kind IN ('tool', 'join', 'signal')
      AND NOT EXISTS (SELECT FROM jsonb_array_elements(v_skipped) AS gap
        WHERE (gap ->> 0)::int > 0 AND e.super_step BETWEEN (gap ->> 0)::int - 1 AND (gap ->> 1)::int)
    ORDER BY e.super_step, e.task COLLATE "C", e.ordinal LIMIT 501) AS told;
  IF v_run.parent_id IS NOT NULL THEN
    SELECT * INTO v_spawn FROM runs_effect WHERE run_id = v_run.parent_id AND kind = 'child'
      AND outcome -> 'value' ->> 'join' = v_run.join_id::text;
    SELECT jsonb_build_object('tainted', v_spawn.decision -> 'handed' -> 'tainted',
        'trusted', v_spawn.decision -> 'handed' -> 'trusted' -> (child.place - 1)::int)
      INTO v_handed
      FROM jsonb_array_elements_text(v_spawn.outcome -> 'value' -> 'runs')
        WITH ORDINALITY AS child (id, place)
      WHERE child.id = p_run::text AND v_spawn.decision ? 'handed';
  END IF;
  RETURN jsonb_build_object(
    'given', runs_first_input(v_top),
    'own', CASE WHEN v_run.parent_id IS NOT NULL THEN (SELECT writes -> 'input'
      FROM runs_checkpoint WHERE run_id = p_run AND super_step = 0) END,
    'child', v_run.parent_id IS NOT NULL,
    'forked', EXISTS (SELECT FROM runs_run
      WHERE id IN (p_run, v_top) AND (origin_run_id IS NOT NULL OR answers_id IS NOT NULL)),
    'handed', v_handed, 'skipped', coalesce(v_skipped, '[]'),
    'effects', coalesce(v_effects - 500, '[]'),
    'whole', coalesce(jsonb_array_length(v_effects), 0) <= 500);
END $$;
