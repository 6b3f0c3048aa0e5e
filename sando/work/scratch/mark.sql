-- Marks the database, if it is still as empty as it was when it was looked at, and nobody else has marked it.
\set mine false
SELECT :'system' = :'wanted' AND NOT EXISTS (SELECT FROM (:content) content) AND EXISTS (
    SELECT FROM pg_catalog.pg_database d
     WHERE d.datname = pg_catalog.current_database() AND d.datname = :'database'
       AND pg_catalog.shobj_description(d.oid, 'pg_database') IS NULL) AS here \gset
\if :here
COMMENT ON DATABASE :"database" IS :'mark';
\else
DO $$ BEGIN
    RAISE EXCEPTION 'the database changed while it was looked at: nothing was done' USING ERRCODE = 'SANDO';
END $$;
\endif
