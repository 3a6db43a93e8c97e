-- A policy version that was ever in force keeps its rules as they were, whoever writes.

CREATE OR REPLACE FUNCTION policy_refuse_edit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  v_policy uuid := CASE WHEN TG_OP = 'INSERT' THEN NEW.policy_id ELSE OLD.policy_id END;
BEGIN
  IF EXISTS (SELECT FROM policy_policyversion
      WHERE id = v_policy AND activated_at IS NOT NULL)
    OR (TG_OP = 'UPDATE' AND NEW.policy_id <> OLD.policy_id) THEN
    RAISE EXCEPTION 'the rules of policy version % were in force, and never change', v_policy;
  END IF;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE OR REPLACE TRIGGER policy_rules_stay BEFORE INSERT OR UPDATE OR DELETE ON policy_policyrule
  FOR EACH ROW EXECUTE FUNCTION policy_refuse_edit();

CREATE OR REPLACE FUNCTION policy_refuse_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.activated_at IS NOT NULL AND (NEW.activated_at IS NULL
      OR NEW.revision <> OLD.revision OR NEW.number <> OLD.number
      OR NEW.answers <> OLD.answers) THEN
    RAISE EXCEPTION 'policy version % was in force, and never changes', OLD.id;
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER policy_versions_stay BEFORE UPDATE ON policy_policyversion
  FOR EACH ROW EXECUTE FUNCTION policy_refuse_draft();
