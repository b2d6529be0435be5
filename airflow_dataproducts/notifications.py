"""The channels by which people are told, by Airflow's own hooks and connections."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.alerts import plain, slack
from airflow_dataproducts.exceptions import ConfigurationError
from airflow_dataproducts.runtime.sending import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataproducts.catalog.outbox import Waiting
    from airflow_dataproducts.runtime.sending import Channel

SLACK_CONNECTION = "dataproducts_slack"
_SMTP_CONNECTION = "smtp_default"
_PAGERDUTY_CONNECTION = "pagerduty_events_default"
_PAGERDUTY = {"critical": "critical", "high": "error", "medium": "warning", "low": "info", "info": "info"}
_TOO_MANY = 429


def channel(name: str) -> Channel:
    """A channel by its name in the outbox.

    Raises:
        ConfigurationError: there is no such channel.
    """
    found: dict[str, Any] = {
        "slack": SlackChannel,
        "email": EmailChannel,
        "pagerduty": PagerDutyChannel,
        "notifier": NotifierChannel,
    }
    if name not in found:
        raise ConfigurationError(f"there is no channel {name!r} (allowed: {', '.join(found)})")
    made: Channel = found[name]()
    return made


def links(told: Mapping[str, Any]) -> dict[str, str]:
    """Addresses by their labels: in Airflow's UI, and the product's own runbook."""
    from urllib.parse import quote

    from airflow.sdk.configuration import conf

    if told["kind"] == "digest":
        return {}
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    found = {}
    if base:
        dag, catalog = f"{base}/dags/{told['product']}", f"{base}/dataproducts/api/v1/products/{told['product']}"
        found["DAG"] = dag
        if told.get("run_id"):
            found["Run"] = f"{dag}/runs/{quote(told['run_id'], safe='')}"
            if told.get("failed_task"):
                found["Log"] = f"{found['Run']}/tasks/{told['failed_task']}"
        found |= {"Catalog": catalog, "Quality": f"{catalog}/quality"}
    return {**found, "Runbook": told["runbook"]} if told.get("runbook") else found


async def run_is_late(**_arguments: Any) -> None:
    """What Airflow calls in its triggerer when a run has missed its deadline: promises are judged at once."""
    await asyncio.to_thread(judge_now)


def judge_now() -> None:
    """A tick of the monitor outside its minute, and whatever waits to be sent."""
    from datetime import UTC, datetime

    from airflow_dataproducts.catalog.outbox import Outbox
    from airflow_dataproducts.catalog.sla import SlaStore
    from airflow_dataproducts.environment import site_catalog, site_settings
    from airflow_dataproducts.runtime import monitor, sending

    settings = site_settings()
    with site_catalog(settings) as catalog:
        monitor.tick(SlaStore(catalog), datetime.now(UTC))
        sending.flush(Outbox(catalog), channel, lambda: datetime.now(UTC), settings.alerts_expire)


@dataclass(frozen=True, slots=True)
class SlackChannel:
    """Slack, by a connection of type slack, or what a webhook's (slackwebhook) can do: no threads, no changes."""

    connection: str = SLACK_CONNECTION

    def send(self, message: Waiting) -> Mapping[str, Any] | None:
        """See :class:`airflow_dataproducts.runtime.sending.Channel`. Later messages are replies in the first one's thread."""
        from airflow_dataproducts.environment import AirflowConnections

        told = message.told.payload
        mention = told.get("owner", {}).get("on_call")
        made = slack.message(told, links(told), mention if mention and mention.startswith("<") else None)
        if AirflowConnections().get(self.connection).type == "slackwebhook":
            self._by_webhook(made)
            return None
        body = {**made, "channel": message.told.address, "unfurl_links": False}
        if message.parent is not None:
            body = {**body, "channel": message.parent["channel"], "thread_ts": message.parent["ts"]}
        answer = self._call("chat.postMessage", body)
        if message.parent is None:
            return {"channel": answer["channel"], "ts": answer["ts"]}
        if message.told.kind == "resolved":
            self._call("chat.update", {**made, "channel": message.parent["channel"], "ts": message.parent["ts"]})
        return None

    def _call(self, method: str, body: dict[str, Any]) -> Any:
        try:
            from airflow.providers.slack.hooks.slack import SlackHook
            from slack_sdk.errors import SlackApiError, SlackClientError
        except ImportError:
            raise ConfigurationError(
                "alerts in Slack need Airflow's provider: pip install 'airflow-dataproducts[slack]'"
            ) from None
        try:
            return SlackHook(slack_conn_id=self.connection, timeout=30).call(method, json=body)
        except SlackApiError as error:
            answer: Any = error.response
            headers = {key.lower(): value for key, value in dict(answer.headers).items()}
            wait = int(headers.get("retry-after", 30)) if answer.status_code == _TOO_MANY else None
            reason = answer.get("error") if hasattr(answer, "get") else None
            said = f"Slack answered {answer.status_code}{f' {reason}' if reason else ''} to {method}"
            raise DeliveryError(said, timedelta(seconds=wait) if wait else None) from None
        except (SlackClientError, OSError) as error:
            raise DeliveryError(f"Slack cannot be reached: {type(error).__name__}") from None

    def _by_webhook(self, made: dict[str, Any]) -> None:
        from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook
        from airflow.sdk.exceptions import AirflowException

        try:
            SlackWebhookHook(slack_webhook_conn_id=self.connection, timeout=30).send_dict(made)
        except (AirflowException, OSError) as error:
            raise DeliveryError(f"Slack's webhook: {type(error).__name__}") from None


class EmailChannel:
    """Mail, by the connection ``smtp_default``."""

    def send(self, message: Waiting) -> None:
        """See :class:`airflow_dataproducts.runtime.sending.Channel`."""
        import html
        import smtplib

        try:
            from airflow.providers.smtp.hooks.smtp import SmtpHook
        except ImportError:
            raise ConfigurationError(
                "alerts by mail need Airflow's provider: pip install apache-airflow-providers-smtp"
            ) from None
        from airflow.sdk.exceptions import AirflowException

        told = message.told.payload
        subject, body = plain.text(told, links(told))
        try:
            with SmtpHook(smtp_conn_id=_SMTP_CONNECTION) as hook:
                hook.send_email_smtp(
                    to=message.told.address, subject=subject, html_content=f"<pre>{html.escape(body)}</pre>"
                )
        except (AirflowException, smtplib.SMTPException, OSError) as error:
            raise DeliveryError(f"mail: {type(error).__name__}") from None


class PagerDutyChannel:
    """PagerDuty's events, by the connection ``pagerduty_events_default``."""

    def send(self, message: Waiting) -> None:
        """See :class:`airflow_dataproducts.runtime.sending.Channel`. One incident is one alert there, too."""
        try:
            hooks = importlib.import_module("airflow.providers.pagerduty.hooks.pagerduty_events")
        except ImportError:
            raise ConfigurationError(
                "alerts by PagerDuty need Airflow's provider: pip install apache-airflow-providers-pagerduty"
            ) from None
        told = message.told.payload
        subject, body = plain.text(told, links(told))
        action = "resolve" if told["kind"] == "resolved" else "trigger"
        try:
            hooks.PagerdutyEventsHook(pagerduty_events_conn_id=_PAGERDUTY_CONNECTION).send_event(
                summary=subject, severity=_PAGERDUTY.get(told.get("severity", "high"), "error"), source="airflow-dataproducts",
                action=action, dedup_key=message.told.thread, custom_details=body,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - its client has errors of its own
            raise DeliveryError(f"PagerDuty: {type(error).__name__}") from None


class NotifierChannel:
    """Any Airflow notifier, by its class: ``package.module.ClassName``."""

    def send(self, message: Waiting) -> None:
        """See :class:`airflow_dataproducts.runtime.sending.Channel`. The context holds subject, message and incident."""
        module, _, name = message.told.address.rpartition(".")
        try:
            notifier = getattr(importlib.import_module(module), name)()
        except (ImportError, AttributeError, ValueError, TypeError) as error:
            raise ConfigurationError(f"the notifier {message.told.address} cannot be made: {error}") from None
        told = message.told.payload
        subject, body = plain.text(told, links(told))
        try:
            notifier.notify({"subject": subject, "message": body, "incident": dict(told)})
        except Exception as error:  # noqa: BLE001 - another's code
            raise DeliveryError(f"the notifier {message.told.address}: {type(error).__name__}") from None
