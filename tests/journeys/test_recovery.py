"""A mail with a recovery token is promised once and comes, whatever happens to Muster or the mail server."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.dialects.magistrala.test_recovery import Postbox
from tests.journeys.server import Server, login, new_user
from tests.ports import free_port

NEW = "a new password"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_promised_mail_survives_a_kill(tmp_path: Path, kind: str, database_url: Callable[..., str]) -> None:
    """Asked while the mail server is away, killed, started again: the mail comes when the server is back."""
    port = free_port()
    settings = {"MUSTER_MAIL_URL": f"smtp://127.0.0.1:{port}", "MUSTER_MAIL_FROM": "muster@plant.example"}
    if kind == "postgresql":
        settings["MUSTER_DATABASE_URL"] = database_url(kind)
    with Server(tmp_path, **settings) as server:
        new_user(server, "jane")
        asked = httpx.post(f"{server.url}/password/reset-request", json={"email": "jane@example.com"})
        assert 201 == asked.status_code, asked.text
        server.kill()
        server.start()
        with Postbox(port) as postbox:
            thread = threading.Thread(target=postbox.serve_forever, daemon=True)
            thread.start()
            mail = postbox.wait_for(1)[0]
            postbox.shutdown()
            thread.join()
        text = mail.get_payload(decode=True).decode()  # type: ignore[union-attr]
        token = re.search(r'"token": "([^"]+)"', text)
        assert token is not None
        body = {"token": token[1], "password": NEW, "confirm_password": NEW}
        assert 201 == httpx.put(f"{server.url}/password/reset", json=body).status_code
        assert login(server, "jane", NEW)
        assert token[1] not in server.output()
