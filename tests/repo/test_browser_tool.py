"""Which Chromium the browser tests use, and that a missing one is an error with a way out, never a skip."""

import sys
from types import SimpleNamespace

import browser
import pytest


@pytest.fixture
def bare(monkeypatch):
    """A machine with no Chromium of any kind, and every command that is run on it."""
    ran = []
    monkeypatch.delenv("KPP_BROWSER", raising=False)
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    monkeypatch.setattr(browser, "bundled", lambda: None)
    monkeypatch.setattr(
        browser.subprocess, "run", lambda command, **_: ran.append(command) or SimpleNamespace(returncode=0)
    )
    return ran


def test_a_named_browser_wins_and_must_exist(bare, monkeypatch):
    monkeypatch.setenv("KPP_BROWSER", "/opt/mine")
    with pytest.raises(browser.NoBrowserError, match="KPP_BROWSER: got '/opt/mine', expected an executable"):
        browser.find()
    monkeypatch.setattr(browser.shutil, "which", lambda name: name)
    assert browser.find() == "/opt/mine"
    monkeypatch.delenv("KPP_BROWSER")
    assert browser.find() == browser.NAMES[0]


def test_the_systems_comes_before_playwrights(bare, monkeypatch):
    monkeypatch.setattr(browser, "bundled", lambda: "/cache/chromium")
    assert browser.ensure() == "/cache/chromium" and bare == []
    monkeypatch.setattr(browser.shutil, "which", lambda name: "/bin/chrome" if name == "google-chrome" else None)
    assert browser.ensure() == "/bin/chrome" and bare == []


def test_a_missing_one_is_installed(bare, monkeypatch):
    monkeypatch.setattr(browser, "bundled", lambda: "/cache/chromium" if bare else None)  # there once a command ran
    assert browser.ensure() == "/cache/chromium"
    assert bare == [[sys.executable, "-m", "playwright", "install", "chromium"]]


@pytest.mark.parametrize(("user", "program"), [(0, "apt-get"), (1000, sys.executable)])
def test_debian_installs_its_own_for_root_only(bare, monkeypatch, user, program):
    monkeypatch.setattr(browser.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(browser.os, "geteuid", lambda: user, raising=False)
    assert {command[0] for command in browser.commands()} == {program}


@pytest.mark.parametrize("status", [0, 1])
def test_where_none_can_be_had_it_fails_and_says_how(bare, monkeypatch, status):
    monkeypatch.setattr(browser.subprocess, "run", lambda command, **_: SimpleNamespace(returncode=status))
    with pytest.raises(browser.NoBrowserError, match="apt-get install chromium; elsewhere"):
        browser.ensure()
