-- Attach the tables.

CREATE SCHEMA IF NOT EXISTS `marts`;

CREATE SCHEMA IF NOT EXISTS `staging`;

-- BigQuery attaches no REST catalog of others: an external table shows the snapshot
-- of one metadata file, in gs:// or by Omni in s3://. Point it to the next one
-- after each commit that it is to show. Tables that are written to the catalog of
-- BigLake, or to Glue, need no external tables.
CREATE OR REPLACE EXTERNAL TABLE `staging`.`stg_orders`
WITH CONNECTION `<region>.<connection>`
OPTIONS (
  format = 'ICEBERG',
  uris = ['<metadata location of staging.stg_orders>']
);

CREATE OR REPLACE EXTERNAL TABLE `marts`.`dim_customers`
WITH CONNECTION `<region>.<connection>`
OPTIONS (
  format = 'ICEBERG',
  uris = ['<metadata location of marts.dim_customers>']
);

CREATE OR REPLACE EXTERNAL TABLE `marts`.`dim_date`
WITH CONNECTION `<region>.<connection>`
OPTIONS (
  format = 'ICEBERG',
  uris = ['<metadata location of marts.dim_date>']
);

CREATE OR REPLACE EXTERNAL TABLE `marts`.`fct_orders`
WITH CONNECTION `<region>.<connection>`
OPTIONS (
  format = 'ICEBERG',
  uris = ['<metadata location of marts.fct_orders>']
);

-- Views.

CREATE OR REPLACE VIEW `marts`.`dim_customers_current` AS
SELECT *
FROM `marts`.`dim_customers`
WHERE `is_current` AND NOT `is_deleted`
  AND `customer_key` <> 'default_null_key';

CREATE OR REPLACE VIEW `marts`.`fct_orders_star` AS
SELECT
  f.*,
  d1.`customer_name` AS `customer_name`,
  d1.`city` AS `customer_city`,
  d2.`customer_name` AS `payer_customer_name`,
  d3.`year` AS `order_date_year`
FROM `marts`.`fct_orders` AS f
LEFT JOIN `marts`.`dim_customers` AS d1
  ON d1.`customer_key` = f.`customer_key`
LEFT JOIN `marts`.`dim_customers` AS d2
  ON d2.`customer_durable_key` = f.`payer_key`
  AND f.`ordered_at` >= d2.`valid_from`
  AND (f.`ordered_at` < d2.`valid_to` OR d2.`valid_to` IS NULL)
LEFT JOIN `marts`.`dim_date` AS d3
  ON d3.`date_key` = f.`order_date_key`;

-- Keys: each of these counts 0.

-- dim_customers.customer_key
SELECT count(*) AS wrong_keys
FROM `marts`.`dim_customers`
WHERE `customer_key` <> TO_HEX(MD5(coalesce(`region`, '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST(`customer_id` AS STRING), '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST(UNIX_MICROS(`valid_from`) AS STRING), '_dbt_utils_surrogate_key_null_')))
  AND `customer_key` <> 'default_null_key';

-- dim_customers.customer_durable_key
SELECT count(*) AS wrong_keys
FROM `marts`.`dim_customers`
WHERE `customer_durable_key` <> TO_HEX(MD5(coalesce(`region`, '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST(`customer_id` AS STRING), '_dbt_utils_surrogate_key_null_')))
  AND `customer_durable_key` <> 'default_null_key';

-- fct_orders.order_key
SELECT count(*) AS wrong_keys
FROM `marts`.`fct_orders`
WHERE `order_key` <> TO_HEX(MD5(coalesce(`region`, '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CAST(`placed_on` AS STRING), '_dbt_utils_surrogate_key_null_')
    || '-' || coalesce(CASE WHEN `express` THEN 'true' WHEN NOT `express` THEN 'false' END, '_dbt_utils_surrogate_key_null_')));
