-- The sessions of examples/weblog, computed by DuckDB from the staging table alone.
-- Nothing here comes from Calve's own sessions, but for their definition in
-- models/intermediate/int_sessions.yaml and the rules in plugin/bots.
WITH requests AS (
    SELECT
        client,
        coalesce(user_agent, '-') AS agent,
        requested_at,
        kafka_topic, kafka_partition, kafka_offset, kafka_row, kafka_timestamp, ingested_at,
        path,
        bytes,
        referrer,
        method = 'GET' AND status IN (200, 304)
            AND (page NOT LIKE '%.%' OR split_part(page, '.', -1) IN ('html', 'xhtml', 'php'))
            AS is_page
    FROM (
        SELECT *, split_part(split_part(split_part(path, '?', 1), '#', 1), '/', -1) AS page
        FROM lake.staging.web_requests
    )
),

-- A request begins a session if it is the first, or comes more than 30 minutes after
-- the one before.
marked AS (
    SELECT
        *,
        requested_at - lag(requested_at) OVER in_order > INTERVAL 30 MINUTES AS begins
    FROM requests
    WINDOW in_order AS (
        PARTITION BY client, agent
        ORDER BY requested_at, kafka_topic, kafka_partition, kafka_offset, kafka_row
    )
),

numbered AS (
    SELECT
        *,
        count(*) FILTER (WHERE begins) OVER (
            PARTITION BY client, agent
            ORDER BY requested_at, kafka_topic, kafka_partition, kafka_offset, kafka_row
        ) AS number
    FROM marked
),

sessions AS (
    SELECT
        client,
        agent,
        min(requested_at) AS session_start,
        max(requested_at) AS session_end,
        count(*) AS requests,
        count(*) FILTER (WHERE is_page) AS pages,
        coalesce(sum(bytes), 0) AS bytes,
        first(path ORDER BY requested_at, kafka_topic, kafka_partition, kafka_offset, kafka_row)
            FILTER (WHERE is_page) AS entry_page,
        last(path ORDER BY requested_at, kafka_topic, kafka_partition, kafka_offset, kafka_row)
            FILTER (WHERE is_page) AS exit_page,
        max(kafka_timestamp) AS kafka_timestamp,
        max(ingested_at) AS ingested_at,
        -- What the plugin counts.
        bool_or(split_part(path, '?', 1) = '/robots.txt') AS asks_for_rules,
        count(*) FILTER (WHERE is_page AND split_part(path, '?', 1) <> '/robots.txt') AS read,
        count(*) FILTER (WHERE NOT is_page AND split_part(path, '?', 1) <> '/robots.txt') AS parts,
        count(referrer) AS referred
    FROM numbered
    GROUP BY client, agent, number
)

SELECT
    client,
    agent,
    session_start,
    session_end,
    requests,
    pages,
    bytes,
    date_sub('second', session_start, session_end) AS duration_seconds,
    entry_page,
    exit_page,
    agent = '-'
        OR regexp_matches(agent, '(?i)bot|crawl|spider|slurp|feed|rss|wget|curl|python|ruby|java/|http_')
        OR asks_for_rules
        OR read >= 5 AND parts = 0 AND referred = 0
        OR read >= 5 AND read * 60 > 30 * greatest(date_sub('second', session_start, session_end), 1)
        AS is_bot,
    kafka_timestamp,
    ingested_at
FROM sessions
