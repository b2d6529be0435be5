"""The data plane: reads, transforms, validates and publishes. Knows no Airflow."""
