-- Drops all that the role can drop, each thing in a transaction of its own; the rows that begin with `left` say what it
-- could not.
\set ON_ERROR_STOP 0
SET search_path = pg_catalog;
\set mine true
SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) AS ended FROM pg_catalog.pg_stat_activity
 WHERE datname = pg_catalog.current_database() AND usename = session_user
   AND pid <> pg_catalog.pg_backend_pid() \gset
SELECT pg_catalog.format('DROP EXTENSION IF EXISTS %I CASCADE', extname) FROM pg_catalog.pg_extension
 WHERE extname <> 'plpgsql' AND pg_catalog.pg_has_role(extowner, 'USAGE') \gexec
SELECT pg_catalog.format('DROP SCHEMA IF EXISTS %I CASCADE', nspname) FROM pg_catalog.pg_namespace n
 WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
   AND pg_catalog.pg_has_role(nspowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extnamespace = n.oid) \gexec
SELECT pg_catalog.format('DROP %s IF EXISTS %s CASCADE', CASE type
           WHEN 'composite type' THEN 'type' WHEN 'statistics object' THEN 'statistics' ELSE type END, identity)
  FROM (:things) things, pg_catalog.pg_identify_object(classid, objid, 0) \gexec
SELECT pg_catalog.format('DROP PUBLICATION IF EXISTS %I', pubname) FROM pg_catalog.pg_publication
 WHERE pg_catalog.pg_has_role(pubowner, 'USAGE') \gexec
SELECT pg_catalog.format('DROP SERVER IF EXISTS %I CASCADE', srvname) FROM pg_catalog.pg_foreign_server
 WHERE pg_catalog.pg_has_role(srvowner, 'USAGE') \gexec
SELECT pg_catalog.count(pg_catalog.lo_unlink(oid)) AS unlinked FROM pg_catalog.pg_largeobject_metadata
 WHERE pg_catalog.pg_has_role(lomowner, 'USAGE') \gset
ALTER DATABASE :"database" RESET ALL;
ALTER ROLE CURRENT_USER IN DATABASE :"database" RESET ALL;
SELECT 'left', name FROM (:content) content ORDER BY 2 LIMIT 4;
