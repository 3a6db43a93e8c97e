-- What happened to a run, in one sequence: the rows of runs_runevent, and between them what
-- each checkpoint tells by itself. A row of its own for each super-step would say nothing more.

-- The super-step whose checkpoint tells the first event after p_after, or a later one. Numbers
-- rise with the super-steps, so it is found by halves, however long the run is. The settings
-- below say what is known here: the rows of one run are in order in the index.
CREATE OR REPLACE FUNCTION runs_step_after(p_run uuid, p_after bigint) RETURNS int LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
  v_low int := 0;
  v_high int;
  v_middle int;
  v_seq bigint;
  v_at int;
BEGIN
  SELECT super_step + 1 INTO v_high FROM runs_checkpoint
    WHERE run_id = p_run ORDER BY super_step DESC LIMIT 1;
  WHILE v_low < v_high LOOP
    v_middle := (v_low + v_high) / 2;
    SELECT told_seq, super_step INTO v_seq, v_at FROM runs_checkpoint
      WHERE run_id = p_run AND super_step >= v_middle AND super_step < v_high
        AND told_seq IS NOT NULL
      ORDER BY super_step LIMIT 1;
    IF NOT FOUND OR v_seq > p_after THEN
      v_high := v_middle;
    ELSE
      v_low := v_at + 1;
    END IF;
  END LOOP;
  RETURN v_low;
END $$;

-- What a checkpoint tells: the tasks that ran were planned by the one before it. Not in SQL: put
-- into another statement, a number that is reckoned there is no key of an index.
CREATE OR REPLACE FUNCTION runs_told_by(p_checkpoint runs_checkpoint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN jsonb_build_object('super_step', p_checkpoint.super_step, 'tasks', coalesce((
    SELECT jsonb_agg(t.task -> 0 ORDER BY t.n) FROM runs_checkpoint AS before,
      jsonb_array_elements(before.head -> 'tasks') WITH ORDINALITY AS t (task, n)
    WHERE before.run_id = p_checkpoint.run_id
      AND before.super_step = p_checkpoint.super_step - 1), '[]'));
END $$;

-- List events after a number, in order.
CREATE OR REPLACE FUNCTION runs_events(p_run uuid, p_after bigint, p_most int)
RETURNS TABLE (seq bigint, type text, data jsonb, at timestamptz) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
  v_step int := runs_step_after(p_run, p_after);
BEGIN
  RETURN QUERY SELECT e.* FROM (
    (SELECT r.seq, r.type::text, r.data, r.at FROM runs_runevent AS r
      WHERE r.run_id = p_run AND r.seq > p_after ORDER BY r.seq LIMIT p_most)
    UNION ALL
    (SELECT c.told_seq, 'super_step.committed', runs_told_by(c), c.at FROM runs_checkpoint AS c
      WHERE c.run_id = p_run AND c.super_step >= v_step AND c.told_seq > p_after
      ORDER BY c.super_step LIMIT p_most)
  ) AS e (seq, type, data, at) ORDER BY e.seq LIMIT p_most;
END $$;

-- List the newest events, the newest first.
CREATE OR REPLACE FUNCTION runs_last_events(p_run uuid, p_most int)
RETURNS TABLE (seq bigint, type text, data jsonb, at timestamptz) LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
  SELECT e.* FROM (
    (SELECT r.seq, r.type::text, r.data, r.at FROM runs_runevent AS r
      WHERE r.run_id = p_run ORDER BY r.seq DESC LIMIT p_most)
    UNION ALL
    (SELECT c.told_seq, 'super_step.committed', runs_told_by(c), c.at FROM runs_checkpoint AS c
      WHERE c.run_id = p_run AND c.told_seq IS NOT NULL
      ORDER BY c.super_step DESC LIMIT p_most)
  ) AS e (seq, type, data, at) ORDER BY e.seq DESC LIMIT p_most
$$;
