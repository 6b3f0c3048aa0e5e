-- Fails unless the session is in the marked database of the server that was looked at.
SELECT pg_catalog.current_database() = :'database' AND :'system' = :'wanted' AND EXISTS (
    SELECT FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
       AND pg_catalog.shobj_description(d.oid, 'pg_database') = :'mark') AS here \gset
\if :here
\else
DO $$ BEGIN
    RAISE EXCEPTION 'this is not the scratch database that was looked at: nothing was done' USING ERRCODE = 'SANDO';
END $$;
\endif
RESET search_path;
