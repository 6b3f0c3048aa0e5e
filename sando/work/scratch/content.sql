-- Everything in a database that is not the server's, by name; `mine`: leave out what an administrator put there.
SELECT pg_catalog.pg_describe_object(classid, objid, 0) AS name FROM (:things) things
 UNION ALL
SELECT 'schema ' || nspname FROM pg_catalog.pg_namespace
 WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
   AND (NOT :mine OR pg_catalog.pg_has_role(nspowner, 'USAGE'))
 UNION ALL
SELECT 'extension ' || extname FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' AND NOT :mine
 UNION ALL
SELECT 'publication ' || pubname FROM pg_catalog.pg_publication
 UNION ALL
SELECT 'server ' || srvname FROM pg_catalog.pg_foreign_server
 UNION ALL
SELECT 'event trigger ' || evtname FROM pg_catalog.pg_event_trigger
 UNION ALL
SELECT 'large object ' || oid FROM pg_catalog.pg_largeobject_metadata
