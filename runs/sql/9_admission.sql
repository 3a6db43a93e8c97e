-- Admission: which of the runs that are queued may be worked on next (docs/adr/0026).
--
-- A run that is queued either stands in its tenant's line (`queue_at` is set, no message of it is
-- anywhere) or was admitted (`queue_at` is NULL): it holds a seat, and a message of it was left.
-- It holds the seat while it is queued or running, and gives it back by being set aside or
-- ending. So who holds a seat is what the rows say, and no counter can be wrong.
--
-- These functions cross tenants: they count, and tell nobody of anybody's rows.

-- How many runs may hold seats: two for each run that the workers seen lately carry at once, one
-- to be worked on and one to be next.
-- Without workers there are as many as the usual two of them would have.
CREATE OR REPLACE FUNCTION runs_seats() RETURNS int
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  RETURN (SELECT 2 * coalesce(sum(slots), 32)::int FROM public.runs_workerslots
    WHERE seen_at > clock_timestamp() - interval '10 seconds');
END $$;

-- A worker says that it is there, and how many runs it carries at once; 0: that it goes.
CREATE OR REPLACE FUNCTION runs_worker_is_here(p_worker text, p_slots int) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  DELETE FROM public.runs_workerslots WHERE (worker = p_worker AND p_slots = 0)
    OR seen_at < clock_timestamp() - interval '1 hour';
  INSERT INTO public.runs_workerslots (worker, slots, seen_at)
    SELECT p_worker, p_slots, clock_timestamp() WHERE p_slots > 0
    ON CONFLICT (worker) DO UPDATE SET slots = excluded.slots, seen_at = excluded.seen_at
$$;

-- How many seats are free: tasks of a super-step that no worker has taken yet take one, too.
CREATE OR REPLACE FUNCTION runs_free_seats() RETURNS int
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
SET jit = off SET enable_seqscan = off AS $$
BEGIN
  RETURN public.runs_seats()
    - (SELECT count(*) FROM public.runs_run
        WHERE state IN ('queued', 'running') AND queue_at IS NULL AND finished_at IS NULL)::int
    - (SELECT count(*) FROM public.runs_task WHERE state = 'pending' AND result IS NULL)::int;
END $$;

-- How many messages of work that is to be taken there should be: admitted runs and tasks that nobody
-- took yet, and runs whose holder is gone.
CREATE OR REPLACE FUNCTION runs_awaited() RETURNS int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
SET jit = off SET enable_seqscan = off AS $$
  SELECT (SELECT count(*) FROM public.runs_run
      WHERE state IN ('queued', 'running') AND queue_at IS NULL AND finished_at IS NULL
        AND (state = 'queued'
        OR (open_tasks = 0 AND coalesce(lease_expires_at <= clock_timestamp(), true))))::int
    + (SELECT count(*) FROM public.runs_task
        WHERE result IS NULL AND (state = 'pending' OR lease_expires_at <= clock_timestamp()))::int
$$;

-- Where in its tenant's line a run stands: as if it had come at that moment. What was begun goes
-- before what was not, and children before runs that nobody waits for yet.
CREATE OR REPLACE FUNCTION runs_line_up(p_began boolean, p_is_child boolean, p_priority text)
RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT clock_timestamp() - CASE
    WHEN p_began THEN interval '200 years' WHEN p_is_child THEN interval '100 years'
    WHEN p_priority = 'high' THEN interval '10 minutes'
    WHEN p_priority = 'low' THEN interval '-10 minutes' ELSE interval '0' END
$$;

-- Whether runs may go past the lines, because nobody stands in any and there are seats.
-- Gives {"now": so many of them, "look": whether whoever asks should admit after its commit}.
-- Of one tenant one transaction at a time may, and only while it is young, for nobody else sees
-- the seats that it takes before it commits; the others look afterwards.
CREATE OR REPLACE FUNCTION runs_enter(p_tenant uuid, p_runs int) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET jit = off SET enable_seqscan = off AS $$
DECLARE
  v_is_young boolean := clock_timestamp() < transaction_timestamp() + interval '100 milliseconds';
  v_is_first boolean := v_is_young AND pg_try_advisory_xact_lock(hashtextextended('runs_enter ' || p_tenant, 0));
  v_free int := public.runs_free_seats();
  v_active int;
  v_most int;
  v_room int;
BEGIN
  IF v_free <= 0 THEN
    RETURN '{"now": 0, "look": false}';
  END IF;
  SELECT count(*) INTO v_active FROM public.runs_run
    WHERE tenant_id = p_tenant AND state IN ('queued', 'running') AND queue_at IS NULL;
  SELECT max_active INTO v_most FROM public.policy_tenant WHERE id = p_tenant;
  -- A line may hold three times what is left free: so many more it may take.
  v_room := least(p_runs, v_most - v_active, (3 * v_free - v_active + 3) / 4);
  IF v_room <= 0 THEN
    RETURN '{"now": 0, "look": false}';
  END IF;
  IF NOT v_is_first OR EXISTS (SELECT FROM public.runs_run WHERE queue_at IS NOT NULL) THEN
    RETURN '{"now": 0, "look": true}';
  END IF;
  RETURN jsonb_build_object('now', v_room, 'look', false);
END $$;

-- Whether a worker was seen lately.
CREATE OR REPLACE FUNCTION runs_is_worked() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  RETURN EXISTS (SELECT FROM public.runs_workerslots
    WHERE seen_at > clock_timestamp() - interval '10 seconds');
END $$;

-- How many runs of a line were let in lately: each counts less with its age, e-fold in ten seconds,
-- and never more, where the clock was set back.
CREATE OR REPLACE FUNCTION runs_let_in(p_line runs_line) RETURNS float8 LANGUAGE sql VOLATILE AS $$
  SELECT p_line.let_in * exp(-least(greatest(
    extract(epoch FROM clock_timestamp() - p_line.let_in_at) / 10, 0), 100))
$$;

-- Whether a line stands still: nothing was let in for ten seconds, or no worker is there.
CREATE OR REPLACE FUNCTION runs_stands_still(p_line runs_line) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
  SELECT p_line.let_in_at < clock_timestamp() - interval '10 seconds' OR NOT public.runs_is_worked()
$$;

-- Runs of a line that were let in a second, averaged over the last ten seconds or so, and over
-- nothing before it began to move (`since`). 0 where it stands still, and in its first three
-- seconds: too little was seen to tell.
CREATE OR REPLACE FUNCTION runs_rate(p_line runs_line) RETURNS float8 LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN public.runs_stands_still(p_line)
      OR p_line.since > clock_timestamp() - interval '3 seconds' THEN 0
    ELSE public.runs_let_in(p_line) / 10
      / (1 - exp(-least(extract(epoch FROM clock_timestamp() - p_line.since) / 10, 100))) END
$$;

-- How many runs stand in the tenant's line, or in all lines (NULL), counted to twice a bound at
-- most, for a bound may be set below what stands there; that bound; and how many a second were let
-- in lately.
CREATE OR REPLACE FUNCTION runs_in_line(p_tenant uuid, p_most int)
RETURNS jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
SET jit = off SET enable_seqscan = off AS $$
DECLARE
  v_most int := p_most;
BEGIN
  IF p_tenant IS NULL THEN
    RETURN jsonb_build_object('most', p_most,
      'waiting', (SELECT count(*) FROM (SELECT FROM public.runs_run
        WHERE queue_at IS NOT NULL LIMIT 2::bigint * p_most) AS every),
      'rate', (SELECT coalesce(sum(public.runs_rate(l)), 0) FROM public.runs_line AS l));
  END IF;
  SELECT coalesce(max_queued, p_most) INTO v_most FROM public.policy_tenant WHERE id = p_tenant;
  RETURN jsonb_build_object('most', v_most,
    'waiting', (SELECT count(*) FROM (SELECT FROM public.runs_run
      WHERE tenant_id = p_tenant AND queue_at IS NOT NULL LIMIT 2::bigint * v_most) AS own),
    'rate', coalesce((SELECT public.runs_rate(l) FROM public.runs_line AS l
      WHERE tenant_id = p_tenant), 0));
END $$;

-- What there is to decide on: the free seats, the virtual moment, and every line that is not
-- empty with its first runs, as many as there are seats. NULL where nobody stands in any.
-- Reads the head of each line only.
CREATE OR REPLACE FUNCTION runs_lines() RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
  v_free int;
  v_lines jsonb;
BEGIN
  IF NOT EXISTS (SELECT FROM public.runs_run WHERE queue_at IS NOT NULL) THEN
    RETURN NULL;
  END IF;
  v_free := public.runs_free_seats();
  IF v_free <= 0 THEN
    RETURN '{"free": 0, "now": 0, "lines": []}';
  END IF;
  WITH RECURSIVE standing AS (
    SELECT min(tenant_id::text)::uuid AS tenant FROM (SELECT tenant_id FROM public.runs_run
      WHERE queue_at IS NOT NULL ORDER BY tenant_id LIMIT 1) AS least
    UNION ALL
    SELECT (SELECT r.tenant_id FROM public.runs_run AS r
      WHERE r.queue_at IS NOT NULL AND r.tenant_id > s.tenant ORDER BY r.tenant_id LIMIT 1)
    FROM standing AS s WHERE s.tenant IS NOT NULL
  )
  SELECT jsonb_agg(jsonb_build_object('tenant', s.tenant, 'weight', t.weight, 'most', t.max_active,
      'done', coalesce(l.done, 0), 'heads', to_jsonb(h.ids),
      'active', (SELECT count(*) FROM public.runs_run WHERE tenant_id = s.tenant
        AND state IN ('queued', 'running') AND queue_at IS NULL)))
    INTO v_lines
    FROM standing AS s JOIN public.policy_tenant AS t ON t.id = s.tenant
    LEFT JOIN public.runs_line AS l ON l.tenant_id = s.tenant
    CROSS JOIN LATERAL (SELECT array_agg(head.id) AS ids FROM (SELECT id FROM public.runs_run
      WHERE tenant_id = s.tenant AND queue_at IS NOT NULL
      ORDER BY queue_at, id LIMIT v_free) AS head) AS h;
  RETURN jsonb_build_object('free', v_free, 'lines', v_lines,
    'now', (SELECT coalesce(max(begun), 0) FROM public.runs_line));
END $$;

-- Admit runs [[tenant, run, begun, done], ...] that still stand in line, and leave a message for
-- each: [[tenant, run, number], ...]. Who is just being cancelled is passed over.
CREATE OR REPLACE FUNCTION runs_admit(p_turns jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET jit = off SET enable_seqscan = off AS $$
DECLARE
  v_sent jsonb;
BEGIN
  WITH free AS (
    SELECT r.id FROM jsonb_array_elements(p_turns) AS turn
      JOIN public.runs_run AS r ON r.id = (turn ->> 1)::uuid AND r.tenant_id = (turn ->> 0)::uuid
      WHERE r.queue_at IS NOT NULL ORDER BY r.id FOR NO KEY UPDATE OF r SKIP LOCKED
  ), admitted AS (
    UPDATE public.runs_run SET queue_at = NULL, nudged_at = clock_timestamp()
      WHERE id IN (SELECT id FROM free) AND queue_at IS NOT NULL
      RETURNING tenant_id, id
  ), sent AS (
    INSERT INTO public.runs_outboxmessage (tenant_id, run_id, task)
      SELECT a.tenant_id, a.id, '' FROM jsonb_array_elements(p_turns) WITH ORDINALITY AS t (turn, n)
        JOIN admitted AS a ON a.id = (turn ->> 1)::uuid ORDER BY n
      RETURNING tenant_id, run_id, id
  ) SELECT jsonb_agg(jsonb_build_array(tenant_id, run_id, id) ORDER BY id) INTO v_sent FROM sent;
  -- Who is let in as a line begins to move fills seats that were free: that says nothing of how
  -- fast it moves. While no worker is there it does not begin to.
  INSERT INTO public.runs_line AS l (tenant_id, begun, done, let_in, let_in_at)
    SELECT (turn ->> 0)::uuid, max((turn ->> 2)::float8), max((turn ->> 3)::float8), 0,
        CASE WHEN public.runs_is_worked() THEN clock_timestamp() ELSE 'epoch' END
      FROM jsonb_array_elements(p_turns) AS turn GROUP BY 1
    ON CONFLICT (tenant_id) DO UPDATE SET begun = excluded.begun, done = excluded.done,
      let_in_at = excluded.let_in_at,
      let_in = CASE WHEN public.runs_stands_still(l) THEN 0
        ELSE public.runs_let_in(l) + (SELECT count(*) FROM jsonb_array_elements(p_turns) AS turn
          WHERE (turn ->> 0)::uuid = l.tenant_id) END,
      since = CASE WHEN public.runs_stands_still(l) THEN clock_timestamp() ELSE l.since END;
  RETURN coalesce(v_sent, '[]');
END $$;

-- A run was queued again: it goes on at once where there is room, or stands at the head of its
-- line. Gives the message's number; 0 where whoever asks should admit after its commit; else NULL.
CREATE OR REPLACE FUNCTION runs_requeue(p_tenant uuid, p_run uuid) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_run runs_run;
  v_may jsonb;
BEGIN
  SELECT * INTO v_run FROM runs_run WHERE id = p_run AND tenant_id = p_tenant AND state = 'queued';
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  IF v_run.deadline_left IS NOT NULL THEN
    PERFORM runs_start_clock(p_run);
  END IF;
  v_may := runs_enter(p_tenant, 1);
  IF (v_may ->> 'now')::int > 0
      OR (v_run.join_id IS NOT NULL AND runs_called_off(v_run.ancestor_ids, v_run.join_id)) THEN
    UPDATE runs_run SET queue_at = NULL WHERE id = p_run AND queue_at IS NOT NULL;
    RETURN runs_nudge(p_tenant, p_run, NULL, '');
  END IF;
  UPDATE runs_run SET
      queue_at = runs_line_up(started_at IS NOT NULL, parent_id IS NOT NULL, priority)
    WHERE id = p_run;
  RETURN CASE WHEN (v_may ->> 'look')::boolean THEN 0 END;
END $$;
