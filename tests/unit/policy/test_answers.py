"""What may not leave with an answer is found, and nothing else is touched."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from policy.provenance.answers import Mode, Rules, check, hosts_in, ids_in

KEY = "hunter2-hunter2/+="
NOT_OURS = "01a1ff8f-7630-757e-b470-781889db8147"


def cleaned(value: Any, **more: Any) -> Any:
    return check(value, Rules(secrets=(KEY,)), **more).value


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        "hunter2-hunter2%2F%2B%3D",
        base64.b64encode(KEY.encode()).decode(),
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "gh" + "p_" + "a" * 36,
        "xox" + "b-1234567890-abc",
        "s" + "k-proj-" + "a" * 30,
        "ao_" + "live_" + "a" * 24,
        "whs" + "ec_" + "a" * 32,
        "-----BEGIN RSA " + "PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
        "ey" + "Jhbtest1234.ey" + "Jhbtest1234.abcdefgh123",
    ],
)
def test_a_secret_is_taken_out_wherever_it_stands(text: str) -> None:
    value = {"said": [f"it is {text}, thanks"], text: 1}

    found = check(value, Rules(secrets=(KEY,)))

    assert text not in str(found.value)
    assert found.value["said"] == ["it is [secret removed], thanks"]
    assert {one.kind for one in found.found} == {"secrets"}


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://evil.example/a.png)",
        '<img alt="" src="https://evil.example/a.png">',
        "see https://evil.example/?q=the-iban",
        "see https://evil.example/#iban",
        "see https://GB33BUKB20201555555555.evil.example/",
        "see //evil.example/GB33BUKB20201555555555-and-more",
        "[here](HTTPS://user@evil.example/)",
        "![x][1]\n\n[1]: https://evil.example/a.png",
        "see https://evil.example/DE75/5121/0800/1245/1261/99",
        "see https://de75.5121.0800.1245.1261.99.evil.example/",
        "see https://evil.example/" + "/".join(["the-account-is-of-lee"] * 4),
        "see https://" + "the-account-is-of.lee-at-the-bank." * 2 + "evil.example/",
    ],
)
def test_a_link_that_can_carry_data_to_a_stranger_is_taken_out(text: str) -> None:
    found = check(text, Rules(), hosts={"ours.example"})

    assert "evil.example/" not in found.value
    assert "[link removed: " in found.value
    assert not any(part in found.value for part in ("de75", "5121", "account"))
    assert found.found[0].kind == "links"


@pytest.mark.parametrize(
    "text",
    [
        "see https://evil.example/page",
        "see https://arxiv.org/abs/2310.06770 and https://news.example/2024/05/12/18341",
        "see https://developer.mozilla.org/en-US/docs/Web/JavaScript/Reference/Global_Objects",
        "see https://learn.microsoft.com/en-us/azure/virtual-machines/windows/overview.",
        "see https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/deployment/sync.go",
        "see http://my-very-own-app.eu-central-1.elb.amazonaws.com:8080/health",
        "see http://192.168.100.200:8000/docs/",
        "![x](https://ours.example/a.png?size=1)",
        "see https://www.ours.example/?q=1",
        "1 // 2, a//b and http:/nothing",
    ],
)
def test_a_plain_link_and_one_to_a_host_that_was_named_stay(text: str) -> None:
    assert cleaned(text, hosts={"ours.example"}) == text


def test_where_nothing_untrusted_was_read_links_stay() -> None:
    text = "![x](https://evil.example/?q=1)"

    assert cleaned(text, hosts=None) == text


def test_hosts_are_named_by_addresses_or_by_themselves_and_not_by_mail() -> None:
    text = "ask docs.ours.example or https://API.ours.example:8000/x, not ann@mail.example"

    assert hosts_in(text) == {"docs.ours.example", "api.ours.example"}


def test_an_id_of_somebody_else_is_taken_out() -> None:
    text = f"run {NOT_OURS.upper()} and 01a1ff8f-7630-757e-b470-781889db8148"

    assert ids_in(text) == {NOT_OURS, "01a1ff8f-7630-757e-b470-781889db8148"}
    assert cleaned(text, foreign={NOT_OURS}).startswith("run [id removed] and 01a1")


def test_reporting_changes_nothing_and_withholding_says_so() -> None:
    reports = Rules(modes={"secrets": Mode.REPORT}, secrets=(KEY,))
    withholds = Rules(modes={"secrets": Mode.WITHHOLD}, secrets=(KEY,))

    assert check(KEY, reports).value == KEY
    assert not check(KEY, reports).withheld(reports)
    assert check(KEY, withholds).withheld(withholds)
    assert KEY not in str(check(KEY, withholds).told())


@pytest.mark.parametrize("value", [None, 1, True, [], {}, "x", {"a": [1.5, None]}])
def test_what_holds_nothing_is_given_as_it_is(value: Any) -> None:
    found = check(value, Rules(secrets=(KEY, "short")), hosts=set(), foreign={NOT_OURS})

    assert (found.value, found.found) == (value, ())
