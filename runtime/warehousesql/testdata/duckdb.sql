-- Attach the tables.

INSTALL iceberg;

LOAD iceberg;

-- Give DuckDB a secret for the catalog (CREATE SECRET, TYPE iceberg), and for the
-- bucket if the catalog hands out none.
ATTACH 'main' AS "shop" (TYPE iceberg, ENDPOINT 'https://catalog.example.com');

-- Views are in DuckDB's own database: the catalog is read alone.
CREATE SCHEMA IF NOT EXISTS "marts";

CREATE SCHEMA IF NOT EXISTS "staging";

-- Views.

CREATE OR REPLACE VIEW "marts"."dim_customers_current" AS
SELECT *
FROM "shop"."marts"."dim_customers"
WHERE "is_current" AND NOT "is_deleted"
  AND "customer_key" <> 'default_null_key';

CREATE OR REPLACE VIEW "marts"."fct_orders_star" AS
SELECT
  f.*,
  d1."customer_name" AS "customer_name",
  d1."city" AS "customer_city",
  d2."customer_name" AS "payer_customer_name",
  d3."year" AS "order_date_year"
FROM "shop"."marts"."fct_orders" AS f
LEFT JOIN "shop"."marts"."dim_customers" AS d1
  ON d1."customer_key" = f."customer_key"
LEFT JOIN "shop"."marts"."dim_customers" AS d2
  ON d2."customer_durable_key" = f."payer_key"
  AND f."ordered_at" >= d2."valid_from"
  AND (f."ordered_at" < d2."valid_to" OR d2."valid_to" IS NULL)
LEFT JOIN "shop"."marts"."dim_date" AS d3
  ON d3."date_key" = f."order_date_key";

-- Keys: each of these counts 0.

-- dim_customers.customer_key
SELECT count(*) AS wrong_keys
FROM "shop"."marts"."dim_customers"
WHERE "customer_key" <> md5(coalesce("region", '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST("customer_id" AS VARCHAR), '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST(epoch_us("valid_from") AS VARCHAR), '_dbt_utils_surrogate_key_null_'))
  AND "customer_key" <> 'default_null_key';

-- dim_customers.customer_durable_key
SELECT count(*) AS wrong_keys
FROM "shop"."marts"."dim_customers"
WHERE "customer_durable_key" <> md5(coalesce("region", '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST("customer_id" AS VARCHAR), '_dbt_utils_surrogate_key_null_'))
  AND "customer_durable_key" <> 'default_null_key';

-- fct_orders.order_key
SELECT count(*) AS wrong_keys
FROM "shop"."marts"."fct_orders"
WHERE "order_key" <> md5(coalesce("region", '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST("placed_on" AS VARCHAR), '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CASE WHEN "express" THEN 'true' WHEN NOT "express" THEN 'false' END, '_dbt_utils_surrogate_key_null_'));
