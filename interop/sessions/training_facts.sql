-- The facts of examples/athlete, computed by DuckDB from the sessions that
-- training_sessions.sql computes, as computed_int_training_sessions, and from the
-- readings, by the definition in models/marts/fct_training_sessions.yaml.
SELECT
    s.athlete_id,
    s.session_id,
    s.session_start,
    s.session_end,
    s.duration_seconds,
    s.frames,
    s.repetitions,
    s.deepest_knee_angle,
    count(r.read_at) AS readings,
    round(avg(r.heart_rate), 1) AS avg_heart_rate,
    max(r.heart_rate) AS max_heart_rate,
    max(greatest(s.kafka_timestamp, r.kafka_timestamp)) AS kafka_timestamp,
    max(greatest(s.ingested_at, r.ingested_at)) AS ingested_at
FROM computed_int_training_sessions AS s
LEFT JOIN lake.staging.stg_biometrics AS r
    ON r.athlete_id = s.athlete_id
    AND r.read_at BETWEEN s.session_start AND s.session_end
GROUP BY ALL
