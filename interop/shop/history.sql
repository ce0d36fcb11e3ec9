-- The customers' history, computed by DuckDB from the log that the database keeps of
-- them, by the definition in models/marts/dim_customers.yaml: name and city make
-- versions, the newest e-mail holds for all of them, and the first date of sign-up stays.
WITH committed AS (
    -- Of changes that took effect together the last one counts.
    SELECT *
    FROM customers_log
    QUALIFY row_number() OVER (PARTITION BY customer_id, committed_at ORDER BY change DESC) = 1
),

marked AS (
    SELECT
        *,
        op = 'D' AS is_deleted,
        lag(change) OVER by_change IS NULL AS is_first,
        is_first
            OR customer_name IS DISTINCT FROM lag(customer_name) OVER by_change
            OR city IS DISTINCT FROM lag(city) OVER by_change
            OR (op = 'D') IS DISTINCT FROM (lag(op) OVER by_change = 'D') AS begins
    FROM committed
    WINDOW by_change AS (PARTITION BY customer_id ORDER BY change)
),

members AS (
    SELECT customer_id, last(email ORDER BY change) AS email, first(signup_date ORDER BY change) AS signup_date
    FROM customers_log
    GROUP BY customer_id
)

SELECT
    customer_id,
    customer_name,
    members.email,
    city,
    members.signup_date,
    CASE WHEN is_first THEN TIMESTAMPTZ '1900-01-01 00:00:00+00' ELSE committed_at END AS valid_from,
    coalesce(
        lead(committed_at) OVER (PARTITION BY customer_id ORDER BY change),
        TIMESTAMPTZ '9999-12-31 00:00:00+00'
    ) AS valid_to,
    lead(committed_at) OVER (PARTITION BY customer_id ORDER BY change) IS NULL AS is_current,
    is_deleted
FROM marked
JOIN members USING (customer_id)
WHERE begins
