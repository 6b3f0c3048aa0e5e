-- What the server says of itself, of the role and of the database; it changes nothing.
\set mine false
SELECT pg_catalog.json_build_object(
    'database', pg_catalog.current_database(), 'role', session_user, 'system', :'system',
    'oid', d.oid::pg_catalog.text,
    'version', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
    'address', pg_catalog.inet_server_addr(), 'port', pg_catalog.inet_server_port(),
    'owns', pg_catalog.pg_has_role(d.datdba, 'USAGE'),
    'comment', pg_catalog.shobj_description(d.oid, 'pg_database'),
    'content', ARRAY(SELECT name FROM (:content) content ORDER BY 1 LIMIT 4),
    'powers', ARRAY(
        SELECT 'SUPERUSER' FROM pg_catalog.pg_roles
         WHERE rolsuper AND pg_catalog.pg_has_role(oid, 'MEMBER')
         UNION
        SELECT 'CREATEROLE' FROM pg_catalog.pg_roles
         WHERE rolcreaterole AND pg_catalog.pg_has_role(oid, 'MEMBER')
         UNION
        SELECT 'REPLICATION' FROM pg_catalog.pg_roles
         WHERE rolreplication AND pg_catalog.pg_has_role(oid, 'MEMBER')
         UNION
        SELECT rolname::pg_catalog.text FROM pg_catalog.pg_roles
         WHERE pg_catalog.pg_has_role(oid, 'MEMBER')
           AND rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')))
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database();
