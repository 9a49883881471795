"""Signing in: neutral errors, limits, the second factor, doors that are closed; error pages that leak nothing."""

from html import unescape
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from hypervisors.models import Domain

LOGIN = "/accounts/login/"


@pytest.fixture(autouse=True)
def emptied(redis_client: Any) -> None:
    """Limits are counted in Redis."""


def sign_in(client: Client, username: str, password: str) -> Any:
    return client.post(LOGIN, {"login": username, "password": password})


def test_the_right_password_leads_in(client: Client, alice: User) -> None:
    assert sign_in(client, "alice", "alice-is-an-operator").status_code == 302
    assert client.get(reverse("profile")).status_code == 200


def test_a_wrong_name_and_a_wrong_password_look_the_same(client: Client, alice: User) -> None:
    def text(answer: Any) -> str:
        page: str = answer.content.decode()
        return page.split('role="alert"')[1].split("</div>")[0]

    wrong_password = sign_in(client, "alice", "wrong")
    assert wrong_password.status_code == 200
    assert "The user name or the password is wrong." in text(wrong_password)
    assert text(wrong_password) == text(sign_in(Client(), "nobody-of-this-name", "wrong"))
    assert client.get(reverse("profile")).status_code == 302


def test_guessing_is_limited(client: Client, alice: User) -> None:
    answers = [sign_in(client, "alice", f"guess {n}") for n in range(12)]
    assert answers[-1].status_code == 429 or "Too many" in answers[-1].content.decode()
    # Not even the right one, for a while.
    sign_in(client, "alice", "alice-is-an-operator")
    assert client.get(reverse("profile")).status_code == 302


def test_signing_out_needs_a_post(client: Client, alice: User) -> None:
    client.force_login(alice)
    client.get(reverse("account_logout"))
    assert client.get(reverse("profile")).status_code == 200
    client.post(reverse("account_logout"))
    assert client.get(reverse("profile")).status_code == 302


@pytest.mark.parametrize(
    "path", ["/accounts/signup/", "/accounts/email/", "/accounts/password/reset/", "/accounts/password/set/", "/admin/"]
)
def test_doors_that_nobody_needs_are_closed(path: str, client: Client, alice: User) -> None:
    assert client.get(path).status_code == 404
    client.force_login(alice)
    assert client.get(path).status_code == 404
    assert client.post(path).status_code == 404


def test_the_password_is_changed(client: Client, alice: User) -> None:
    sign_in(client, "alice", "alice-is-an-operator")
    new = "four calm words together"
    fields = {"oldpassword": "alice-is-an-operator", "password1": new, "password2": new}
    assert client.post(reverse("account_change_password"), fields).status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(new)
    short = client.post(reverse("account_change_password"), {**fields, "oldpassword": new, "password1": "short"})
    assert short.status_code == 200
    alice.refresh_from_db()
    assert alice.check_password(new)


def code_for(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))


def test_the_second_factor_is_switched_on_and_asked_for(client: Client, alice: User) -> None:
    sign_in(client, "alice", "alice-is-an-operator")
    asked = client.get(reverse("mfa_activate_totp"))
    assert asked["Location"].startswith(reverse("account_reauthenticate"))
    assert client.get(asked["Location"]).status_code == 200
    client.post(asked["Location"], {"password": "alice-is-an-operator"})
    page = client.get(reverse("mfa_activate_totp")).content.decode()
    assert "data:image/svg+xml" in page
    secret = page.split('class="vp-secret">')[1].split("<")[0]
    assert client.post(reverse("mfa_activate_totp"), {"code": "000000"}).status_code == 200
    assert client.post(reverse("mfa_activate_totp"), {"code": code_for(secret)}).status_code == 302
    assert secret not in str(Authenticator.objects.get(type="totp").data)
    for name in ("mfa_index", "mfa_view_recovery_codes", "mfa_generate_recovery_codes", "mfa_deactivate_totp"):
        assert client.get(reverse(name)).status_code == 200
    other = Client()
    asked = sign_in(other, "alice", "alice-is-an-operator")
    assert asked["Location"].startswith(reverse("mfa_authenticate"))
    assert other.get(reverse("profile")).status_code == 302
    recovery_code = client.get(reverse("mfa_view_recovery_codes")).content.decode().split('id="recovery-codes">')[1]
    assert other.post(reverse("mfa_authenticate"), {"code": recovery_code.split()[0]}).status_code == 302
    assert other.get(reverse("profile")).status_code == 200


def test_unknown_pages_say_so_in_the_look(client: Client, alice: User) -> None:
    for user in (None, alice):
        if user:
            client.force_login(user)
        answer = client.get("/no/such/<b>page")
        assert answer.status_code == 404
        assert "There is nothing here" in answer.content.decode()
        assert "<b>page" not in answer.content.decode()


def test_a_form_without_its_token_is_refused_helpfully(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.post(reverse("hypervisor_pool_add"), {"name": "x"})
    assert answer.status_code == 403
    assert "Reload the page" in answer.content.decode()


def test_an_accident_of_ours_leaks_nothing(client: Client, alice: User, settings: Any) -> None:
    client.force_login(alice)
    client.raise_request_exception = False
    # A setting that is broken: every page that is rendered fails.
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "OPTIONS": {"context_processors": ["no.such.processor"]}}]
    answer = client.get(reverse("profile"))
    assert answer.status_code == 500
    assert "Something went wrong in vmportal" in answer.content.decode()
    assert "no.such" not in answer.content.decode()


class TestComingBack:
    """Whoever has to sign in again comes back to the page they were on, never to an address that takes forms alone."""

    ORIGIN = "http://testserver"

    def after_sign_in(self, client: Client, login: str) -> str:
        """Where one is led by the login page that was answered."""
        page = client.get(login)
        hidden = page.content.decode().split('name="next"')
        fields = {"login": "alice", "password": "alice-is-an-operator"}
        if len(hidden) > 1:
            fields["next"] = unescape(hidden[1].split('value="')[1].split('"')[0])
        return str(client.post(login, fields)["Location"])

    @pytest.mark.parametrize("sent", ["htmx", "form"])
    def test_to_the_page_that_a_change_was_asked_for_on(
        self, sent: str, client: Client, alice: User, domain: Domain
    ) -> None:
        page = f"/vms/{domain.uuid}/history/?page=1"
        path = reverse("operate_domain", args=[domain.uuid, "pause"])
        if sent == "htmx":
            answer = client.post(path, headers={"HX-Request": "true", "HX-Current-URL": self.ORIGIN + page})
            login = answer["HX-Redirect"]
        else:
            answer = client.post(path, headers={"Referer": self.ORIGIN + page})
            login = answer["Location"]
        where = self.after_sign_in(client, login)
        assert where == page
        assert client.get(where).status_code == 200

    def test_to_the_page_whose_part_was_asked_for(self, client: Client, alice: User, domain: Domain) -> None:
        headers = {"HX-Request": "true", "HX-Current-URL": f"{self.ORIGIN}/vms/{domain.uuid}/"}
        answer = client.get(reverse("domain_buttons", args=[domain.uuid]), headers=headers)
        assert self.after_sign_in(client, answer["HX-Redirect"]) == f"/vms/{domain.uuid}/"

    def test_to_the_page_that_was_asked_for(self, client: Client, alice: User) -> None:
        assert self.after_sign_in(client, client.get("/vms/?state=off")["Location"]) == "/vms/?state=off"
        boosted = {"HX-Request": "true", "HX-Boosted": "true", "HX-Current-URL": f"{self.ORIGIN}/vms/"}
        answer = Client().get("/hypervisors/", headers=boosted)
        assert self.after_sign_in(Client(), answer["HX-Redirect"]) == "/hypervisors/"

    @pytest.mark.parametrize(
        "referer",
        [
            "",
            "https://evil.example/vms/",
            "http://testserver.evil.example/vms/",
            "javascript:alert(1)",
            "//evil.example/vms/",
            "http://testserver//evil.example/",
            "http://testserver/vms/operations/start/",
            "http://testserver/no/such/page",
            "http://[",
        ],
    )
    def test_to_the_first_page_when_no_page_of_ours_is_named(
        self, referer: str, client: Client, alice: User, domain: Domain
    ) -> None:
        path = reverse("operate_domain", args=[domain.uuid, "pause"])
        for headers, where in (({"Referer": referer}, "Location"), ({"HX-Request": "true"}, "HX-Redirect")):
            answer = client.post(path, headers=headers | {"HX-Current-URL": referer})
            assert self.after_sign_in(Client(), answer[where]) == "/"

    @pytest.mark.parametrize("query", ["", "?next=/vms/operations/start/", "?next=https://evil.example/"])
    def test_a_link_leads_to_no_form_either(self, query: str, client: Client, alice: User) -> None:
        assert self.after_sign_in(client, reverse("account_login") + query) == "/"
