"""Celery's settings, safe for a broker that may forget everything."""

from __future__ import annotations

from django.conf import settings
from kombu import Queue
from kombu.transport import TRANSPORT_ALIASES

# Under the schemes of its URLs, so that who asks for the broker's kind (Flower) hears of Redis.
TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = "agentops.broker:Transport"
broker_url = settings.REDIS_URL
broker_transport_options = {
    "global_keyprefix": f"{settings.REDIS_PREFIX}:",
    "ack_emulation": False,  # what a worker took is in its memory; the sweeper nudges again
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "retry_policy": {"max_retries": 0},
}
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
task_publish_retry = False
task_default_queue = "runs"
task_queues = [
    Queue("runs"),
    Queue("backtests"),
    Queue("notices"),
]  # workers name the one they take from
task_routes = {"runs.backtest": {"queue": "backtests"}, "runs.deliver": {"queue": "notices"}}
task_ignore_result = True
task_acks_late = False
task_serializer = "json"
accept_content = ["json"]
worker_prefetch_multiplier = 1
worker_hijack_root_logger = False
worker_send_task_events = False  # Flower asks for them while it runs; they cost a quarter more
task_send_sent_event = False
worker_cancel_long_running_tasks_on_connection_loss = False
result_backend = settings.CELERY_RESULT_BACKEND
timezone = "UTC"
