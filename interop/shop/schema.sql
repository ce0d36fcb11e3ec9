-- The shop's database: three tables, and a log of what becomes of two of them, which
-- the database writes by itself. Nothing here is made for Calve but REPLICA IDENTITY.
CREATE TABLE customers (
    customer_id bigint PRIMARY KEY,
    customer_name text NOT NULL,
    email text NOT NULL,
    city text NOT NULL,
    signup_date date NOT NULL
);

CREATE TABLE products (
    product_id bigint PRIMARY KEY,
    product_name text NOT NULL,
    category text NOT NULL,
    price numeric(10, 2) NOT NULL,
    -- Long, and stored apart: a change of the price does not log it.
    description text NOT NULL
);
ALTER TABLE products ALTER COLUMN description SET STORAGE EXTERNAL;

CREATE TABLE orders (
    order_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint, -- null for a guest; a customer may be deleted
    product_id bigint NOT NULL REFERENCES products ON UPDATE CASCADE,
    quantity int NOT NULL,
    total_amount numeric(10, 2) NOT NULL,
    order_date timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
-- A delete tells when the order was, not only which. The other tables keep PostgreSQL's
-- default: their deletes tell the key alone, with zeros and empty strings beside it.
ALTER TABLE orders REPLICA IDENTITY FULL;

CREATE TABLE customers_log (
    change bigint GENERATED ALWAYS AS IDENTITY,
    xid xid8 DEFAULT pg_current_xact_id(),
    op text,
    LIKE customers
);

CREATE TABLE orders_log (
    change bigint GENERATED ALWAYS AS IDENTITY,
    xid xid8 DEFAULT pg_current_xact_id(),
    op text,
    order_id bigint
);

CREATE FUNCTION log_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO customers_log (op, customer_id, customer_name, email, city, signup_date)
    SELECT left(TG_OP, 1), c.* FROM (SELECT (coalesce(NEW, OLD)).*) AS c;
    RETURN NULL;
END $$;

CREATE FUNCTION log_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO orders_log (op, order_id) VALUES (left(TG_OP, 1), (coalesce(NEW, OLD)).order_id);
    RETURN NULL;
END $$;

CREATE TRIGGER log_customer AFTER INSERT OR UPDATE OR DELETE ON customers
FOR EACH ROW EXECUTE FUNCTION log_customer();
CREATE TRIGGER log_order AFTER INSERT OR UPDATE OR DELETE ON orders
FOR EACH ROW EXECUTE FUNCTION log_order();
