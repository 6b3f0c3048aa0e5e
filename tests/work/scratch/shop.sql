-- A production database with what real ones have: roles, grants, policies, extensions, odd names and odd data.
SET ROLE NONE;
CREATE EXTENSION hstore; CREATE EXTENSION "uuid-ossp"; CREATE SCHEMA geo AUTHORIZATION shop_owner; CREATE EXTENSION earthdistance WITH SCHEMA geo CASCADE;
CREATE EXTENSION pg_stat_statements;
ALTER SCHEMA public OWNER TO shop_owner;
SET ROLE shop_owner;
CREATE SCHEMA shop; COMMENT ON SCHEMA shop IS 'it''s \ ours;';
CREATE TYPE shop.state AS ENUM ('new', 'it''s paid', 'sent\');
CREATE DOMAIN shop.price AS numeric CHECK (VALUE >= 0);
CREATE TABLE shop.customers (id bigserial PRIMARY KEY, email text UNIQUE, extra hstore, data jsonb DEFAULT '{"a": "\\"}', raw bytea);
CREATE TABLE shop.orders (id bigserial, customer bigint NOT NULL REFERENCES shop.customers, state shop.state, total shop.price, at date NOT NULL)
  PARTITION BY RANGE (at);
CREATE TABLE shop.orders_2026 PARTITION OF shop.orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE public."odd ""name"";" ("select" int, "a\b" text, "c;d" text);
CREATE FUNCTION shop.total(bigint) RETURNS numeric LANGUAGE plpgsql AS $_$ BEGIN
  RETURN (SELECT sum(total) FROM shop.orders WHERE customer = $1); -- \! not a command; 'nor' a "quote"

END $_$;
CREATE FUNCTION shop.two() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.email := lower(NEW.email); RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON shop.customers FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE VIEW shop.rich AS SELECT c.email, shop.total(c.id) AS total FROM shop.customers c WHERE email <> E'\\!';
CREATE MATERIALIZED VIEW shop.counted AS SELECT count(*) FROM shop.customers;
CREATE INDEX ON shop.customers ((data->>'a')) WHERE email !~ '\\';
ALTER TABLE shop.customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON shop.customers FOR SELECT TO reader, "odd ""role""" USING (email = current_user);
CREATE PUBLICATION partly FOR TABLE shop.customers;
GRANT USAGE ON SCHEMA shop TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA shop TO reader; GRANT SELECT (email) ON shop.customers TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO reader;
COMMENT ON TABLE shop.customers IS E'first\n\\! second\n\\.\nthird';
INSERT INTO shop.customers (email, extra, raw) SELECT 'u' || i || E'\\''\n\t\\.\n' || i, hstore('k', i::text), decode(md5(i::text), 'hex') FROM generate_series(1, 300) i;
INSERT INTO shop.customers (email) VALUES (E'\n-- PostgreSQL database dump complete\n--\n'), (NULL), (''), ('\N'), ('\.'), ('$$'), ('ünï');
INSERT INTO shop.orders (customer, state, total, at) SELECT i, 'it''s paid', i * 1.5, '2026-11-01' FROM generate_series(1, 300) i;
INSERT INTO public."odd ""name"";" VALUES (1, '\', ';'), (2, NULL, '\! rm');
SELECT lo_from_bytea(0, '\x0001275c');
REFRESH MATERIALIZED VIEW shop.counted;
RESET ROLE;
CREATE FUNCTION shop.noted() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION shop.noted();
CREATE PUBLICATION everything FOR ALL TABLES;
COMMENT ON DATABASE shop IS 'the shop';
