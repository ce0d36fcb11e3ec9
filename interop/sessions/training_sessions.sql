-- The training sessions of examples/athlete, computed by DuckDB from the staging table
-- alone, by the definition in models/intermediate/int_training_sessions.yaml.
WITH marked AS (
    SELECT
        *,
        captured_at - lag(captured_at) OVER (
            PARTITION BY athlete_id, session_id ORDER BY captured_at
        ) > INTERVAL 30 MINUTES AS begins
    FROM lake.staging.stg_pose_events
),

numbered AS (
    SELECT
        *,
        count(*) FILTER (WHERE begins) OVER (
            PARTITION BY athlete_id, session_id ORDER BY captured_at
        ) AS number
    FROM marked
)

SELECT
    athlete_id,
    session_id,
    min(captured_at) AS session_start,
    max(captured_at) AS session_end,
    date_sub('second', min(captured_at), max(captured_at)) AS duration_seconds,
    count(*) AS frames,
    count(DISTINCT exercise) AS exercises,
    max(repetition) AS repetitions,
    min(knee_angle) FILTER (WHERE confidence >= 0.5) AS deepest_knee_angle,
    count(*) FILTER (WHERE confidence < 0.5) AS unsure_frames,
    max(kafka_timestamp) AS kafka_timestamp,
    max(ingested_at) AS ingested_at
FROM numbered
GROUP BY athlete_id, session_id, number
