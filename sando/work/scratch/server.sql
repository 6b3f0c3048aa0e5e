-- Sets `system`, the server's own identity, where the role may ask for it. Names are qualified throughout: what a former
-- rehearsal left in the database must not be able to answer in place of the server.
SET search_path = pg_catalog;
SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may \gset
\set system -
\if :may
SELECT system_identifier AS system FROM pg_catalog.pg_control_system() \gset
\endif
