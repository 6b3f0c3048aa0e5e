-- Which extensions could be made (and whether by the owner of the database), which are made, and the schemas there are.
SELECT 'available', v.name, v.trusted FROM pg_catalog.pg_available_extensions e
  JOIN pg_catalog.pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version;
SELECT 'made', extname, '' FROM pg_catalog.pg_extension;
SELECT 'schema', nspname, '' FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema';
