-- Attach the tables.

-- Databricks attaches no REST catalog of others: it mirrors Glue. Where the
-- project's catalog is Unity Catalog itself the tables are there already, and this
-- and the next statement are not needed.
CREATE CONNECTION IF NOT EXISTS `calve_shop` TYPE glue
OPTIONS (
  aws_region '<region>',
  aws_account_id '<account>',
  credential '<service credential>'
);

CREATE FOREIGN CATALOG IF NOT EXISTS `shop` USING CONNECTION `calve_shop`
OPTIONS (authorized_paths 's3://lake/shop');

-- A foreign catalog is for reading alone.
CREATE CATALOG IF NOT EXISTS `shop_views`;

CREATE SCHEMA IF NOT EXISTS `shop_views`.`marts`;

CREATE SCHEMA IF NOT EXISTS `shop_views`.`staging`;

-- Views.

CREATE OR REPLACE VIEW `shop_views`.`marts`.`dim_customers_current` AS
SELECT *
FROM `shop`.`marts`.`dim_customers`
WHERE `is_current` AND NOT `is_deleted`
  AND `customer_key` <> 'default_null_key';

CREATE OR REPLACE VIEW `shop_views`.`marts`.`fct_orders_star` AS
SELECT
  f.*,
  d1.`customer_name` AS `customer_name`,
  d1.`city` AS `customer_city`,
  d2.`customer_name` AS `payer_customer_name`,
  d3.`year` AS `order_date_year`
FROM `shop`.`marts`.`fct_orders` AS f
LEFT JOIN `shop`.`marts`.`dim_customers` AS d1
  ON d1.`customer_key` = f.`customer_key`
LEFT JOIN `shop`.`marts`.`dim_customers` AS d2
  ON d2.`customer_durable_key` = f.`payer_key`
  AND f.`ordered_at` >= d2.`valid_from`
  AND (f.`ordered_at` < d2.`valid_to` OR d2.`valid_to` IS NULL)
LEFT JOIN `shop`.`marts`.`dim_date` AS d3
  ON d3.`date_key` = f.`order_date_key`;

-- Keys: each of these counts 0.

-- dim_customers.customer_key
SELECT count(*) AS wrong_keys
FROM `shop`.`marts`.`dim_customers`
WHERE `customer_key` <> md5(coalesce(`region`, '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST(`customer_id` AS STRING), '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST(unix_micros(`valid_from`) AS STRING), '_dbt_utils_surrogate_key_null_'))
  AND `customer_key` <> 'default_null_key';

-- dim_customers.customer_durable_key
SELECT count(*) AS wrong_keys
FROM `shop`.`marts`.`dim_customers`
WHERE `customer_durable_key` <> md5(coalesce(`region`, '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST(`customer_id` AS STRING), '_dbt_utils_surrogate_key_null_'))
  AND `customer_durable_key` <> 'default_null_key';

-- fct_orders.order_key
SELECT count(*) AS wrong_keys
FROM `shop`.`marts`.`fct_orders`
WHERE `order_key` <> md5(coalesce(`region`, '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(date_format(`placed_on`, 'yyyy-MM-dd'), '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CASE WHEN `express` THEN 'true' WHEN NOT `express` THEN 'false' END, '_dbt_utils_surrogate_key_null_'));
