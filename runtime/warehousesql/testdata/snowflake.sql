-- Attach the tables.

-- Snowflake has to reach the catalog by public HTTPS, and the bucket; name the
-- principal that may read.
CREATE CATALOG INTEGRATION IF NOT EXISTS calve_shop
  CATALOG_SOURCE = ICEBERG_REST
  TABLE_FORMAT = ICEBERG
  REST_CONFIG = (
    CATALOG_URI = 'https://catalog.example.com'
    CATALOG_NAME = 'main'
    CATALOG_API_TYPE = PUBLIC
    ACCESS_DELEGATION_MODE = VENDED_CREDENTIALS
  )
  REST_AUTHENTICATION = (
    TYPE = OAUTH
    OAUTH_CLIENT_ID = '<client id>'
    OAUTH_CLIENT_SECRET = '<client secret>'
    OAUTH_ALLOWED_SCOPES = ('PRINCIPAL_ROLE:ALL')
  )
  ENABLED = TRUE
  REFRESH_INTERVAL_SECONDS = 30;

-- Every table of these namespaces appears here by itself.
CREATE DATABASE shop
  LINKED_CATALOG = (
    CATALOG = 'calve_shop',
    ALLOWED_NAMESPACES = ('marts', 'staging'),
    ALLOWED_WRITE_OPERATIONS = NONE,
    SYNC_INTERVAL_SECONDS = 30
  )
  CATALOG_CASE_SENSITIVITY = CASE_INSENSITIVE;

-- A linked database holds tables alone.
CREATE DATABASE IF NOT EXISTS shop_views;

CREATE SCHEMA IF NOT EXISTS shop_views.marts;

CREATE SCHEMA IF NOT EXISTS shop_views.staging;

-- Views.

CREATE OR REPLACE VIEW shop_views.marts.dim_customers_current AS
SELECT *
FROM shop.marts.dim_customers
WHERE is_current AND NOT is_deleted
  AND customer_key <> 'default_null_key';

CREATE OR REPLACE VIEW shop_views.marts.fct_orders_star AS
SELECT
  f.*,
  d1.customer_name AS customer_name,
  d1.city AS customer_city,
  d2.customer_name AS payer_customer_name,
  d3.year AS order_date_year
FROM shop.marts.fct_orders AS f
LEFT JOIN shop.marts.dim_customers AS d1
  ON d1.customer_key = f.customer_key
LEFT JOIN shop.marts.dim_customers AS d2
  ON d2.customer_durable_key = f.payer_key
  AND f.ordered_at >= d2.valid_from
  AND (f.ordered_at < d2.valid_to OR d2.valid_to IS NULL)
LEFT JOIN shop.marts.dim_date AS d3
  ON d3.date_key = f.order_date_key;

-- Keys: each of these counts 0.

-- dim_customers.customer_key
SELECT count(*) AS wrong_keys
FROM shop.marts.dim_customers
WHERE customer_key <> MD5(coalesce(region, '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST(customer_id AS VARCHAR), '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST(DATE_PART(EPOCH_MICROSECOND, valid_from) AS VARCHAR), '_dbt_utils_surrogate_key_null_'))
  AND customer_key <> 'default_null_key';

-- dim_customers.customer_durable_key
SELECT count(*) AS wrong_keys
FROM shop.marts.dim_customers
WHERE customer_durable_key <> MD5(coalesce(region, '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST(customer_id AS VARCHAR), '_dbt_utils_surrogate_key_null_'))
  AND customer_durable_key <> 'default_null_key';

-- fct_orders.order_key
SELECT count(*) AS wrong_keys
FROM shop.marts.fct_orders
WHERE order_key <> MD5(coalesce(region, '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(TO_CHAR(placed_on, 'YYYY-MM-DD'), '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CASE WHEN express THEN 'true' WHEN NOT express THEN 'false' END, '_dbt_utils_surrogate_key_null_'));
