"""One-time sign-in links for development: ten minutes, one use, only by POST, only with DEBUG.

The link holds a signed statement "this user, as of their last sign-in". Signing in changes
the last sign-in, so that the link, and every other one made before, is used up.
"""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.contrib.auth.models import User
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

SALT: Final = "agentops.signin"
LIFE_SECONDS: Final = 600
BACKEND: Final = "django.contrib.auth.backends.ModelBackend"


def make_link(user: User) -> str:
    """Give the path of a link by which somebody signs in as this user, once."""
    return f"/dev/in/{signing.dumps([user.pk, _mark(user)], salt=SALT)}"


@never_cache
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest, token: str) -> HttpResponse:
    """Show a button; pressing it signs in and uses the link up."""
    if not settings.DEBUG:
        raise Http404
    user = _user(token)
    if user is None:
        return render(request, "console/sign_in.html", {"user_name": None}, status=410)
    if request.method == "GET":
        return render(request, "console/sign_in.html", {"user_name": user.get_username()})
    if not _used_up(user):
        return render(request, "console/sign_in.html", {"user_name": None}, status=410)
    login(request, user, backend=BACKEND)
    return redirect("admin:index")


def _mark(user: User) -> str:
    return user.last_login.isoformat() if user.last_login else ""


def _user(token: str) -> User | None:
    try:
        identity, mark = signing.loads(token, salt=SALT, max_age=LIFE_SECONDS)
    except (signing.BadSignature, ValueError):
        return None
    user = get_user_model().objects.filter(pk=identity, is_active=True).first()
    return user if user is not None and _mark(user) == mark else None


def _used_up(user: User) -> bool:
    """Take the use, if nobody else took it in the same moment."""
    users = get_user_model().objects.filter(pk=user.pk, last_login=user.last_login)
    return users.update(last_login=timezone.now()) == 1
