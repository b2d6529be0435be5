"""How product.yaml reaches Airflow's DAG processor."""
