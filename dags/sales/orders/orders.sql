-- One row per order with its customer's segment.
SELECT
    o.order_no                        AS order_id,
    o.customer_id,
    o.email                           AS customer_email,
    coalesce(c.segment, 'consumer')   AS segment,
    o.amount                          AS total_amount,
    o.status,
    o.ordered_at::date                AS order_date,
    year(o.ordered_at)                AS order_year,
    o.updated_at
FROM orders AS o
LEFT JOIN customers AS c USING (customer_id)
