"""Who may talk to a Prefect server: nobody from elsewhere without the string that it asks for.

The string is Prefect's own (basic authentication): `USER:PASSWORD`, in the environment of the
server and of its clients. It is never written to a file, a log or a command line.
"""

import base64
import ipaddress
import os
import re
import urllib.error
import urllib.request

from pipeline.errors import EnvironmentFault, InputError

HOST = "127.0.0.1"
SERVER_STRING = "PREFECT_SERVER_API_AUTH_STRING"
"""Environment variable with the string that a server asks for."""
CLIENT_STRING = "PREFECT_API_AUTH_STRING"
"""Environment variable with the string that a client answers."""
SHORTEST_PASSWORD = 12
"""Characters of a password that guards an address which others can reach."""


def read_host(text: str) -> str:
    """An address to listen on; raises InputError where it is none."""
    try:
        return str(ipaddress.ip_address(HOST if text == "localhost" else text))
    except ValueError:
        raise InputError(
            f"--host {text!r}: give an address of this machine, such as 192.168.0.10, or 0.0.0.0 "
            "for all of them."
        ) from None


def is_local(host: str) -> bool:
    """Whether nobody but this machine can reach it."""
    return ipaddress.ip_address(host).is_loopback


def reached_at(host: str) -> str:
    """The address by which this machine itself reaches a server that listens on `host`."""
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        return "[::1]" if address.version == 6 else HOST
    return f"[{address}]" if address.version == 6 else host


def require_guarded(host: str) -> None:
    """Raise EnvironmentFault where others could reach `host` and would not be asked who they
    are."""
    if is_local(host):
        return
    user, colon, password = os.environ.get(SERVER_STRING, "").partition(":")
    if not user or not colon or len(password) < SHORTEST_PASSWORD:
        raise EnvironmentFault(
            f"Others can reach {host}, and whoever reaches a Prefect server can run code on it.\n"
            f"So it is started there only with a name and a password: set {SERVER_STRING} in the "
            f"environment to USER:PASSWORD, the password of {SHORTEST_PASSWORD} characters or "
            "more. See docs/nightly.md."
        )


def answer_own_server() -> None:
    """Let this process and its children answer what the checkout's own server asks for."""
    if string := os.environ.get(SERVER_STRING):
        os.environ.setdefault(CLIENT_STRING, string)


def require_admitted(url: str, string: str | None) -> None:
    """Raise EnvironmentFault where the server of the API at `url` does not take `string`."""
    request = urllib.request.Request(f"{url}/version")
    if string:
        request.add_header("Authorization", f"Basic {base64.b64encode(string.encode()).decode()}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 401:
            return
        problem = "takes another one than that" if string else "asks for a name and a password"
        raise EnvironmentFault(
            f"The Prefect server {masked(url)} {problem}: set {CLIENT_STRING} in the environment "
            "to the USER:PASSWORD that it was started with."
        ) from None
    except OSError:
        # Whether it answers at all is asked, and said, elsewhere.
        return


def masked(text: str) -> str:
    """A text without the names and passwords in its URLs."""
    return re.sub(r"(?<=://)[^/\s@]+@", "", text)
