-- The rows of the ten largest tables. An index that was built has counted them already; without one they are counted,
-- as long as that takes no time.
SET statement_timeout = '10s';
\set ON_ERROR_STOP 0
SELECT CASE WHEN c.reltuples > 0
           THEN format('SELECT json_build_array(%L, %s)', t.name, c.reltuples::bigint)
           ELSE format('SELECT json_build_array(%L, count(*)) FROM %s', t.name, t.name) END
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
       LATERAL format('%I.%I', n.nspname, c.relname) AS t(name)
 WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 ORDER BY pg_table_size(c.oid) DESC, t.name LIMIT 10 \gexec
