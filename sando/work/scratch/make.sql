-- In a cluster of our own, as its administrator: the role with no rights, and its database, empty and new.
SELECT pg_catalog.format('CREATE ROLE %I', :'role')
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE :"role" RESET ALL;
DROP DATABASE IF EXISTS :"database";
SELECT pg_catalog.format('DROP ROLE %I', rolname) FROM pg_catalog.pg_roles
 WHERE rolname !~ '^pg_' AND rolname NOT IN (session_user, :'role') \gexec
REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;
CREATE DATABASE :"database" OWNER :"role" TEMPLATE template0;
