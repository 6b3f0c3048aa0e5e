ALTER TABLE visits ADD COLUMN agent text NOT NULL DEFAULT '';
CREATE INDEX visits_by_day ON visits (((at AT TIME ZONE 'UTC')::date));
