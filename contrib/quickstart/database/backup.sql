--
-- PostgreSQL database dump
--

-- Last night's production, as pg_dump would have written it: 0001 has been applied, and there are visits.

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);

CREATE TABLE public.visits (
    id bigint NOT NULL,
    path text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.visits ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY;

COPY public._sqlx_migrations (version, description, installed_on, success, checksum, execution_time) FROM stdin;
1	visits	2026-01-01 03:00:00+00	t	\\x@CHECKSUM@	1200000
\.

COPY public.visits (id, path, at) FROM stdin;
1	/	2026-01-01 08:00:00+00
2	/about	2026-01-01 08:00:05+00
3	/	2026-01-02 09:30:00+00
\.

SELECT pg_catalog.setval('public.visits_id_seq', 3, true);

ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.visits
    ADD CONSTRAINT visits_pkey PRIMARY KEY (id);

--
-- PostgreSQL database dump complete
--

