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
        SELECT 'CREATEDB' FROM pg_catalog.pg_roles
         WHERE rolcreatedb AND pg_catalog.pg_has_role(oid, 'MEMBER')
         UNION
        SELECT rolname::pg_catalog.text FROM pg_catalog.pg_roles
         WHERE pg_catalog.pg_has_role(oid, 'MEMBER')
           AND rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_read_all_data',
               'pg_write_all_data', 'pg_maintain', 'pg_signal_backend', 'pg_create_subscription')),
    'reaches', ARRAY(
        SELECT 'owns the database ' || datname FROM pg_catalog.pg_database o
         WHERE o.oid <> d.oid AND pg_catalog.pg_has_role(o.datdba, 'MEMBER')
         UNION
        SELECT 'was granted rights on the database ' || datname
          FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database o ON o.oid = s.objid
         WHERE s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass AND s.dbid = 0 AND o.oid <> d.oid
           AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.deptype = 'a'
           AND pg_catalog.pg_has_role(s.refobjid, 'MEMBER')
         UNION
        SELECT 'owns or may use what is in the database ' || datname
          FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database o ON o.oid = s.dbid
         WHERE o.oid <> d.oid AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
           AND pg_catalog.pg_has_role(s.refobjid, 'MEMBER')
         ORDER BY 1 LIMIT 4))
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database();
