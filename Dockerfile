# Airflow with this package, for docker-compose.yaml.
FROM apache/airflow:3.3.2-python3.12
COPY --chown=airflow:0 . /opt/airflow-dataproducts
RUN pip install --no-cache-dir --constraint /opt/airflow-dataproducts/constraints.txt \
    "/opt/airflow-dataproducts" "apache-airflow[celery]==3.3.2" "apache-airflow-providers-amazon"
