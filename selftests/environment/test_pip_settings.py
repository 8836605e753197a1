"""pip's settings in uv's words."""

from __future__ import annotations

from hallmark.environment.pip_settings import settings, uv_environment, uv_flags

LISTED = """\
:env:.find-links='/env/wheels'
global.cert='/etc/ca.pem'
global.extra-index-url='https://one/simple\\nhttps://two/simple'
global.find-links='/global/wheels'
global.no-index='true'
install.timeout='99'
freeze.timeout='1'
not a setting
"""


def test_the_environment_wins_over_files_and_the_install_section_over_the_global_one() -> None:
    found = settings({}, LISTED)
    assert found["find-links"] == "/env/wheels"
    assert found["timeout"] == "99"
    assert settings({"PIP_FIND_LINKS": "/mine"}, LISTED)["find-links"] == "/mine"


def test_a_python_without_pip_still_has_its_variables() -> None:
    assert settings({"PIP_INDEX_URL": "https://x/simple", "HOME": "/"}, "") == {"index-url": "https://x/simple"}


def test_uv_is_told_all_of_it() -> None:
    told = uv_environment(settings({"PIP_FIND_LINKS": "/a /b"}, LISTED), {"HOME": "/home"})
    assert told == {
        "HOME": "/home",
        "UV_EXTRA_INDEX_URL": "https://one/simple https://two/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/a,/b",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_HTTP_TIMEOUT": "99",
    }
    assert uv_flags(settings({}, LISTED)) == ["--no-index"]
    assert uv_flags({}) == []


def test_what_uv_was_told_already_stays() -> None:
    assert uv_environment({"index-url": "https://pip"}, {"UV_INDEX_URL": "https://uv"})["UV_INDEX_URL"] == "https://uv"
