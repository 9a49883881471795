"""Django settings, all of them from the environment; what is missing or contradictory fails loudly."""

import tomllib
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
VERSION: str = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]

DATA_DIR = Path(env.str("VMPORTAL_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DEBUG = env.bool("VMPORTAL_DEBUG", default=False)
SECRET_KEY = env.str("VMPORTAL_SECRET_KEY", default="")
# Fernet keys, newest first: the first encrypts, all decrypt (rotation).
ENCRYPTION_KEYS = [key for key in env.str("VMPORTAL_ENCRYPTION_KEY", default="").split(",") if key]
if not SECRET_KEY or not ENCRYPTION_KEYS:
    raise ImproperlyConfigured(
        "VMPORTAL_SECRET_KEY and VMPORTAL_ENCRYPTION_KEY are not set. "
        "Start vmportal with ./run, which generates both, or put them into the environment file."
    )

ALLOWED_HOSTS = env.list("VMPORTAL_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
# The origins that browsers may come from, as scheme://host:port: forms, sockets and consoles refuse all others.
PUBLIC_ORIGINS: list[str] = env.list("VMPORTAL_PUBLIC_ORIGINS", default=[])
CSRF_TRUSTED_ORIGINS = PUBLIC_ORIGINS
SERVED_OVER_TLS = bool(PUBLIC_ORIGINS) and all(urlsplit(origin).scheme == "https" for origin in PUBLIC_ORIGINS)


def _networks(name: str) -> list[IPv4Network | IPv6Network]:
    """Addresses and networks (10.0.0.0/24), separated by commas."""
    try:
        return [ip_network(text.strip(), strict=False) for text in env.list(name, default=[]) if text.strip()]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} holds what is no address or network: {error}.") from error


# Proxies in front of our own nginx, whose word is believed about where a browser is; by default there are none.
TRUSTED_PROXIES = _networks("VMPORTAL_TRUSTED_PROXIES")
# Machines that our own nginx runs on, beside this one.
OWN_PROXIES = _networks("FORWARDED_ALLOW_IPS")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "channels",
    "csp",
    "template_partials",
    "hypervisors",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "hypervisors.web.caching.NoStoreMiddleware",
    "hypervisors.web.well_formed.WellFormedMiddleware",
    # Before what saves something itself.
    "hypervisors.web.troubles.TroubleMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Every page is denied to strangers unless its view says otherwise.
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    # Around the accounts' own, so that sign-ins are recorded with their address.
    "hypervisors.web.permissions.AccessMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "csp.middleware.CSPMiddleware",
    "hypervisors.web.boosting.BoostingMiddleware",
]

ROOT_URLCONF = "vmportal.urls"
ASGI_APPLICATION = "vmportal.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["hypervisors.templatetags.names"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "hypervisors.web.permissions.rights_for_templates",
                "hypervisors.web.frames.frame_for_templates",
                "hypervisors.web.troubles.trouble_for_templates",
            ],
        },
    }
]

DATABASES: dict[str, Any] = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # Writers queue at BEGIN instead of failing at their first write.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32000;"
        " PRAGMA mmap_size=268435456;",
    }
else:
    DATABASES["default"].setdefault("OPTIONS", {})
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["CONN_MAX_AGE"] = None
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "vmportal"},
    }
}
CACHES = {
    "default": {
        "BACKEND": "vmportal.caches.LastingCache",
        "LOCATION": REDIS_URL,
        # No page waits for a Redis that hangs.
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1, "retry": Retry(NoBackoff(), 0)},
    }
}

AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "hypervisors.administration.passwords.GuessablePasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "hypervisors.web.people.accounts.ClosedSignupAdapter"
ACCOUNT_LOGOUT_ON_GET = False
MFA_ADAPTER = "hypervisors.web.people.accounts.EncryptingMfaAdapter"
MFA_TOTP_ISSUER = "vmportal"
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_RATE_LIMITS = {
    # Wrong passwords: of one name from one address (the key), and of one address whatever the name.
    "login_failed": "10/m/ip,5/5m/key",
    # Of one name from all addresses together that the person has not signed in from before.
    "login_failed_anywhere": "30/5m/key",
    # How often that is written down for one name and address.
    "login_refused_noted": "1/m/key",
}

SESSION_ENGINE = "hypervisors.models.login_sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = SERVED_OVER_TLS
CSRF_COOKIE_SECURE = SERVED_OVER_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        # Console frames and Tabler's control glyphs are data: images.
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TZ", default="UTC") or "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = env.str("VMPORTAL_STATIC_ROOT", default=str(DATA_DIR / "static"))
NODE_MODULES = BASE_DIR / "node_modules"
# Vendor paths carry their version, so that nginx may serve them as immutable: their modules import one another
# by relative path and cannot be renamed to hashed names.
STATICFILES_DIRS: list[Any] = [
    BASE_DIR / "static",
    ("vendor/novnc-1.7.0", NODE_MODULES / "@novnc" / "novnc"),
    ("vendor/tabler-1.6.1", NODE_MODULES / "@tabler" / "core" / "dist"),
    ("vendor/htmx-2.0.11", NODE_MODULES / "htmx.org" / "dist"),
    ("vendor/idiomorph-0.7.4", NODE_MODULES / "idiomorph" / "dist"),
    ("vendor/uplot-1.6.32", NODE_MODULES / "uplot" / "dist"),
    ("vendor/tus-js-client-4.3.1", NODE_MODULES / "tus-js-client" / "dist"),
    # Made of deploy/bundles/ at `npm ci`; under hashed names, like our own.
    ("bundles", NODE_MODULES / "bundles"),
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "vmportal.staticfiles.HashedStaticFilesStorage"},
}

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
# Messages are acknowledged when a task begins: the operation's row remembers what is to be done (docs/decisions/0008).
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "operations"
CELERY_TASK_ROUTES = {"hypervisors.migrate": {"queue": "migrations"}}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # A redelivery while the first run lives does no harm (the runner claims by row), but is waste.
    "visibility_timeout": 6 * 3600,
    "socket_timeout": 30,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
# Publishing from a request gives up quickly: the watcher's sweep delivers what is still queued.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}

# The console proxy listens here; nginx carries /console/ to it. Another address than loopback is for a nginx on another
# machine, and belongs to a network that nobody else is on.
CONSOLE_HOST = env.str("VMPORTAL_CONSOLE_HOST", default="127.0.0.1")
CONSOLE_PORT = env.int("VMPORTAL_CONSOLE_PORT", default=6080)
CONSOLE_GRANT_SECONDS = 20
# The transfer process (uploads and downloads) listens here, for nginx's /transfer/; as the console proxy does.
TRANSFER_HOST = env.str("VMPORTAL_TRANSFER_HOST", default="127.0.0.1")
TRANSFER_PORT = env.int("VMPORTAL_TRANSFER_PORT", default=6090)
# Networks that are otherwise refused and that files may be fetched from all the same: a mirror in one's own network.
FETCH_ALLOW = _networks("VMPORTAL_FETCH_ALLOW")
FETCH_MAX_BYTES = env.int("VMPORTAL_FETCH_MAX_GIB", default=1024) * 1024**3
# QEMU shows a screen to 32 viewers: nobody is to take all the places.
CONSOLES_PER_PERSON_AND_DOMAIN = env.int("VMPORTAL_CONSOLES_PER_PERSON_AND_VM", default=2)
CONSOLES_PER_PERSON = env.int("VMPORTAL_CONSOLES_PER_PERSON", default=20)
# libvirt's test driver and its relatives are for tests and benchmarks only.
ALLOW_TEST_DRIVER = env.bool("VMPORTAL_ALLOW_TEST_DRIVER", default=False)
# How many days what is over and gone is kept: see hypervisors/administration/retention.py.
RETENTION_DAYS = {
    "operations": env.int("VMPORTAL_KEEP_OPERATIONS_DAYS", default=365),
    "tombstones": env.int("VMPORTAL_KEEP_TOMBSTONES_DAYS", default=365),
    "audit": env.int("VMPORTAL_KEEP_AUDIT_DAYS", default=730),
}
if any(days < 1 for days in RETENTION_DAYS.values()):
    raise ImproperlyConfigured("VMPORTAL_KEEP_OPERATIONS_DAYS, …_TOMBSTONES_DAYS and …_AUDIT_DAYS are at least 1.")
USAGE_PERIOD_SECONDS = env.int("VMPORTAL_USAGE_PERIOD_SECONDS", default=5)
# An operating system database (osinfo-db-import --dir) that is newer than the machine's own; it takes precedence.
OSINFO_DIRECTORY = Path(env.str("VMPORTAL_OSINFO_DIR", default=str(DATA_DIR / "osinfo")))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("VMPORTAL_LOG_LEVEL", default="INFO")},
    "loggers": {"django.server": {"level": "WARNING"}, "httpx": {"level": "WARNING"}},
}
SILENCED_SYSTEM_CHECKS: list[str] = []
