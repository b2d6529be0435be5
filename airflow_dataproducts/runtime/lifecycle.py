"""S3 lifecycle rules for what a product leaves behind: object stores delete by themselves what nobody needs any more."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine.storage import s3_client
from airflow_dataproducts.engine.targets.failures import one_line
from airflow_dataproducts.runtime.closing import quarantine_place

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.runtime.run import Run

_PREFIX = "dataproducts-"
Rules = dict[str, list[dict[str, Any]]]
"""Rules in S3's own words (PutBucketLifecycleConfiguration), by bucket."""


def proposed(run: Run) -> Rules:
    """The rules for a product's quarantined rows and staged data, as far as they lie in S3.

    Current versions and old ones are not among them: which is which is known to the targets alone.
    """
    settings = run.settings
    places = [(quarantine_place(run, step), settings.keep_quarantine) for step in run.plan.publications]
    places.append((run.staging_of_product, settings.keep_for))
    found: Rules = {}
    for place, duration in places:
        if not place.is_local:
            bucket, _, key = place.path.partition("/")
            found.setdefault(bucket, []).append(_rule(f"{key}/", duration))
    return found


def apply(run: Run, rules: Rules) -> None:
    """Set the rules of each bucket; those of others stay as they are.

    Raises:
        PublishError: a bucket's rules cannot be read or set.
    """
    for bucket, wanted in rules.items():
        client = s3_client(_place_in(run, bucket))
        with one_line(f"the lifecycle rules of the bucket {bucket} were not set"):
            there = _rules_of(client, bucket)
            ours = {rule["ID"] for rule in wanted}
            kept = [rule for rule in there if rule.get("ID") not in ours]
            client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [*kept, *wanted]})


def _rules_of(client: Any, bucket: str) -> list[dict[str, Any]]:
    from botocore.exceptions import ClientError

    try:
        return list(client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration":
            return []
        raise


def _place_in(run: Run, bucket: str) -> Place:
    places = [*(quarantine_place(run, step) for step in run.plan.publications), run.staging_of_product]
    return next(place for place in places if not place.is_local and place.path.partition("/")[0] == bucket)


def _rule(prefix: str, duration: timedelta) -> dict[str, Any]:
    days = max(math.ceil(duration.total_seconds() / 86_400), 1)
    return {
        "ID": f"{_PREFIX}{hashlib.sha256(prefix.encode()).hexdigest()[:12]}",
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Expiration": {"Days": days},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
