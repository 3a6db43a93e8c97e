-- What artifacts a tenant has, and what they come to, so that a quota is kept to.

-- Count bytes that are about to be kept under their digest. NULL: they are counted, now or since
-- before, and may be kept; else nothing changed, and it says what is used of how much.
CREATE OR REPLACE FUNCTION runs_count_artifact(p_tenant uuid, p_digest text, p_size bigint)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_used bigint;
  v_most bigint;
BEGIN
  PERFORM runs_tenant(p_tenant);
  UPDATE runs_artifact SET saved_at = clock_timestamp()
    WHERE tenant_id = p_tenant AND digest = p_digest;
  IF FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO runs_artifactuse (tenant_id, bytes) VALUES (p_tenant, 0) ON CONFLICT DO NOTHING;
  SELECT bytes INTO v_used FROM runs_artifactuse WHERE tenant_id = p_tenant FOR NO KEY UPDATE;
  -- From here on nobody else counts for this tenant: somebody may have counted these before.
  UPDATE runs_artifact SET saved_at = clock_timestamp()
    WHERE tenant_id = p_tenant AND digest = p_digest;
  IF FOUND THEN
    RETURN NULL;
  END IF;
  SELECT max_file_bytes INTO v_most FROM policy_tenant WHERE id = p_tenant;
  IF v_used + p_size > v_most THEN
    RETURN jsonb_build_object('used', v_used, 'most', v_most);
  END IF;
  INSERT INTO runs_artifact (tenant_id, digest, size, saved_at)
    VALUES (p_tenant, p_digest, p_size, clock_timestamp());
  UPDATE runs_artifactuse SET bytes = bytes + p_size WHERE tenant_id = p_tenant;
  RETURN NULL;
END $$;

-- Count artifacts no more, unless somebody was about to keep them since a moment.
CREATE OR REPLACE FUNCTION runs_uncount_artifacts(
  p_tenant uuid, p_digests text[], p_before timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_freed bigint;
BEGIN
  PERFORM runs_tenant(p_tenant);
  PERFORM FROM runs_artifactuse WHERE tenant_id = p_tenant FOR NO KEY UPDATE;
  WITH gone AS (
    DELETE FROM runs_artifact
      WHERE tenant_id = p_tenant AND digest = ANY (p_digests) AND saved_at < p_before
      RETURNING size
  )
  SELECT coalesce(sum(size), 0) INTO v_freed FROM gone;
  UPDATE runs_artifactuse SET bytes = bytes - v_freed WHERE tenant_id = p_tenant;
END $$;
