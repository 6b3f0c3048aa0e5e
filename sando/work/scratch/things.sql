-- What lies in schemas, by its dependency on them; members of extensions belong to those.
SELECT d.classid, d.objid
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_namespace n
    ON d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = n.oid
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND d.deptype IN ('n', 'a')
   AND d.classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass
   AND d.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                    WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e')
