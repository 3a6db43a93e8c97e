"""Every setting, read from the environment in one place. Wrong values stop the start.

Two database roles (docs/adr/0007): commands of `manage.py` run as the system role of
`DATABASE_URL`; web and workers run as the application role, which row-level security
binds to one tenant at a time.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

from django.conf import global_settings
from django.core.exceptions import ImproperlyConfigured

from agentops import env
from runs.core.lifecycle import RunState
from runs.core.recorded.compensation import Compensation

BASE_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = Path(env.text("AGENTOPS_STATE") or BASE_DIR / ".agentops")
DEBUG = env.flag("AGENTOPS_DEBUG")
SECRET_KEY = env.text("AGENTOPS_SECRET_KEY")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "AGENTOPS_SECRET_KEY is not set. `make up` makes one for development; elsewhere set a "
        "long random text and keep it: credentials are encrypted with it"
    )
ALLOWED_HOSTS = env.words("AGENTOPS_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("AGENTOPS_TRUSTED_ORIGINS")

# --- Database -------------------------------------------------------------------------------
SYSTEM_DATABASE = env.database("DATABASE_URL", env.text("DATABASE_URL"))
APP_ROLE = f"{SYSTEM_DATABASE['NAME']}_app"
APP_PASSWORD = hmac.new(
    SECRET_KEY.encode(), f"app-role:{APP_ROLE}".encode(), hashlib.sha256
).hexdigest()
if env.text("APP_DATABASE_URL"):
    APP_DATABASE = env.database("APP_DATABASE_URL", env.text("APP_DATABASE_URL"))
    APP_ROLE = str(APP_DATABASE["USER"])
    APP_PASSWORD = ""
else:
    APP_DATABASE = {**SYSTEM_DATABASE, "USER": APP_ROLE, "PASSWORD": APP_PASSWORD}
    if not APP_DATABASE["HOST"]:
        APP_DATABASE["HOST"] = "127.0.0.1"
DATABASE_ROLE = env.text("AGENTOPS_DATABASE_ROLE", "app")
if DATABASE_ROLE not in {"system", "app"}:
    raise ImproperlyConfigured("AGENTOPS_DATABASE_ROLE must be system or app")
DATABASES: dict[str, dict[str, Any]] = {
    "default": SYSTEM_DATABASE if DATABASE_ROLE == "system" else APP_DATABASE
}
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["CONN_MAX_AGE"] = 0
DATABASES["default"]["OPTIONS"] = env.setting(
    env.bounded(
        DATABASES["default"]["OPTIONS"],
        gone=int(env.number("AGENTOPS_DATABASE_GONE_SECONDS", 12, least=3)),
        idle=env.number("AGENTOPS_IDLE_TRANSACTION_SECONDS", 60, least=0),
    ),
    "plan_cache_mode",  # statements go by keys (ADR 32): no value asks for a plan of its own
    "force_generic_plan",
)
if DATABASE_ROLE == "app":  # many threads, few connections
    DATABASES["default"]["OPTIONS"] = {
        **DATABASES["default"]["OPTIONS"],
        "pool": {"min_size": 1, "max_size": int(env.number("AGENTOPS_POOL_SIZE", 10, least=2))},
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
HOT_POOL_SIZE = int(env.number("AGENTOPS_HOT_POOL_SIZE", 8, least=1))
GROUP_COMMITS = env.flag("AGENTOPS_GROUP_COMMITS", default=True)

# --- Redis and Celery -----------------------------------------------------------------------
REDIS_URL = env.text("REDIS_URL")
if not REDIS_URL:
    raise ImproperlyConfigured(
        "REDIS_URL is not set; give one like redis://127.0.0.1:6379/0, "
        "or use `make up`, which starts a Valkey of its own"
    )
REDIS_PREFIX = env.text("AGENTOPS_REDIS_PREFIX", "agentops")
CELERY_RESULT_BACKEND = "django-db"
CELERY_CACHE_BACKEND = "default"
DJANGO_CELERY_RESULTS_TASK_ID_MAX_LENGTH = 64

# --- The engine -----------------------------------------------------------------------------
LEASE_SECONDS = env.number("AGENTOPS_LEASE_SECONDS", 6, least=1)
GRACE_SECONDS = env.number("AGENTOPS_GRACE_SECONDS", 8, least=2)
CARRIER_THREADS = int(env.number("AGENTOPS_CARRIER_THREADS", 8, least=1))
WAITING_RUNS = int(env.number("AGENTOPS_WAITING_RUNS", 1000, least=0))
BURST_SUPER_STEPS = int(env.number("AGENTOPS_BURST_SUPER_STEPS", 20, least=1))
BURST_SECONDS = env.number("AGENTOPS_BURST_SECONDS", 2, least=0)
API_REQUESTS = int(env.number("AGENTOPS_API_REQUESTS", 6000, least=0))
BREAKER_FAILURES = int(env.number("AGENTOPS_BREAKER_FAILURES", 5, least=1))
BREAKER_SECONDS = env.number("AGENTOPS_BREAKER_SECONDS", 30, least=0.1)
MAX_QUEUED = int(env.number("AGENTOPS_MAX_QUEUED", 200_000, least=1))
TENANT_MAX_QUEUED = int(env.number("AGENTOPS_TENANT_MAX_QUEUED", 50_000, least=1))
SWEEP_SECONDS = env.number("AGENTOPS_SWEEP_SECONDS", 0.5, least=0.05)
ENVIRONMENT = env.text("AGENTOPS_ENVIRONMENT", "development" if DEBUG else "production")
AGENT_PATHS = env.words("AGENTOPS_AGENTS", "agents,examples/agents" if DEBUG else "agents")

# --- Artifacts ------------------------------------------------------------------------------
MAX_FILE_BYTES = int(env.number("AGENTOPS_MAX_FILE_BYTES", 25 * 1024 * 1024, least=1))
STORAGES = {
    **global_settings.STORAGES,
    "artifacts": {
        "BACKEND": env.text("AGENTOPS_ARTIFACTS_BACKEND", "runs.artifacts.directory.Directory"),
        "OPTIONS": env.mapping("AGENTOPS_ARTIFACTS_OPTIONS")
        or {"location": env.text("AGENTOPS_ARTIFACTS") or STATE_DIR / "artifacts"},
    },
}

# --- Notices --------------------------------------------------------------------------------
PUBLIC_URL = env.text("AGENTOPS_PUBLIC_URL")
NOTIFY_HOSTS = env.words("AGENTOPS_NOTIFY_HOSTS")
_MAIL: dict[str, Any] = env.mail_server("AGENTOPS_SMTP_URL", env.text("AGENTOPS_SMTP_URL"))
EMAIL_HOST, EMAIL_PORT = _MAIL["EMAIL_HOST"], _MAIL["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _MAIL["EMAIL_HOST_USER"], _MAIL["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS, EMAIL_USE_SSL = _MAIL["EMAIL_USE_TLS"], _MAIL["EMAIL_USE_SSL"]
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("AGENTOPS_MAIL_FROM", "agentops@localhost")

# --- Django ---------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin.apps.SimpleAdminConfig",  # only `urls` needs its pages, not every process
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_results",
    "policy",
    "gateway",
    "tools",
    "runs",
    "agentops",
]
MIDDLEWARE = [
    "agentops.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "agentops.middleware.AdminTenantMiddleware",
]
ROOT_URLCONF = "agentops.urls"
ASGI_APPLICATION = "agentops.asgi.application"
WSGI_APPLICATION = "agentops.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = STATE_DIR / "static"
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG
DATA_UPLOAD_MAX_MEMORY_SIZE = int(env.number("AGENTOPS_MAX_BODY_BYTES", 1024 * 1024, least=1024))
SECURE_SSL_REDIRECT = env.flag("AGENTOPS_HTTPS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.flag("AGENTOPS_HTTPS")
SESSION_COOKIE_NAME = env.text("AGENTOPS_SESSION_COOKIE", "agentops_session")
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.flag("AGENTOPS_PROXY") else None
)
LOGIN_URL = "/admin/login/"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["policy.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["policy.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "agentops.problems.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AgentOps API",
    "DESCRIPTION": "Start agent runs, follow them, decide what they ask for.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {  # choices of several fields that are called the same
        "RunStateEnum": [state.value for state in RunState],
        "CompensationEnum": [state.value for state in Compensation],
        "PolicyStateEnum": ["draft", "active", "retired"],
        "RiskEnum": ["low", "medium", "high", "critical"],
        "BreakerStateEnum": ["closed", "open", "half_open"],
        "ApprovalKindEnum": ["tool_call", "outcome_unknown", "guard", "answer"],
        "RaiseKindEnum": ["permanent", "once", "until"],
        "ProposalStateEnum": ["open", "confirmed", "declined"],
        "BudgetScopeEnum": ["run", "child", "thread", "agent", "user", "team", "tenant"],
        "SharedScopeEnum": ["tenant", "team", "user", "agent", "thread"],
        "PeriodEnum": ["none", "day", "week", "month"],
    },
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
UNFOLD = {
    "SITE_TITLE": "AgentOps",
    "SITE_HEADER": "AgentOps",
    "SITE_SYMBOL": "hub",
    "SHOW_HISTORY": False,
}
LOGGING_CONFIG = None
LOG_LEVEL = env.text("AGENTOPS_LOG_LEVEL", "WARNING").upper()
