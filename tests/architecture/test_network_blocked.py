"""Tests reach this machine only; one that needs another is wrong and fails at once."""

import socket

import pytest


def test_another_machine_is_out_of_reach():
    # an address set apart for documentation (RFC 5737): nobody answers there, blocked or not
    with socket.socket() as opened, pytest.raises(RuntimeError, match="may not connect"):
        opened.connect(("192.0.2.1", 80))


def test_this_machine_is_within_reach():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
