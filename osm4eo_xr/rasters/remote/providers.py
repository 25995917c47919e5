"""Who grants access to which addresses: a function for each kind, asked in this order.

Sources: https://planetarycomputer.microsoft.com/docs/concepts/sas/,
https://documentation.dataspace.copernicus.eu/APIs/Token.html and APIs/S3.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html, RFC 6750.
"""

from __future__ import annotations

import netrc
import os
import re
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from osm4eo_xr.rasters.remote.addresses import folders_of, host_of, is_private
from osm4eo_xr.rasters.remote.failures import RemoteError
from osm4eo_xr.rasters.remote.grants import Grant, Provider, ask_json, lasting

_SAS_ENDPOINT = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
_BLOBS = ".blob.core.windows.net"
_UNSIGNED = 3600.0  # seconds after which we ask again whether a container has to be signed

_CDSE_IDENTITY = (
    "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"
)
_CDSE_HOSTS = tuple(
    f"{name}.dataspace.copernicus.eu" for name in ("download", "zipper", "catalogue")
)
_CDSE_S3 = "eodata.dataspace.copernicus.eu"
_PAYING = ("sentinel-s2-l1c", "sentinel-s2-l2a", "usgs-landsat")
_AWS_SOURCES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)
_AWS_CONFIG = re.compile(
    r"^\s*(aws_access_key_id|role_arn|credential_process|sso_\w+)\s*=", re.MULTILINE
)


def provider_of(address: str) -> Provider | None:
    """Return who grants access to an address; None where nobody has to be asked."""
    for kind in (_bearer, _sas, _cdse_web, _cdse_s3, _s3):
        found = kind(address)
        if found is not None:
            return found
    return None


def _sas(address: str) -> Provider | None:
    """Planetary Computer: a signature for each container of Azure's blobs."""
    host, folders = host_of(address), folders_of(address)
    stated = os.environ.get("OSM4EO_XR_SAS_HOSTS", "")
    ours = [name.strip().casefold() for name in stated.split(",")] if stated else []
    known = host in ours if ours else host.endswith(_BLOBS)
    if not known or not folders or "sig=" in urlsplit(address).query:
        return None
    place = f"{host.partition('.')[0] if host.endswith(_BLOBS) else host}/{folders[0]}"
    return Provider(f"sas {place}", partial(_ask_sas, place))


def _ask_sas(place: str) -> Grant:
    key = os.environ.get("PC_SDK_SUBSCRIPTION_KEY")
    endpoint = os.environ.get("OSM4EO_XR_SAS_ENDPOINT", _SAS_ENDPOINT)
    try:
        answer = ask_json(
            f"{endpoint}/{place}", headers={"Ocp-Apim-Subscription-Key": key} if key else None
        )
    except FileNotFoundError:  # not one of theirs: it may be open to all
        return Grant(until=lasting(_UNSIGNED))
    try:
        end = datetime.fromisoformat(answer["msft:expiry"])
        left = (end - datetime.now(end.tzinfo)).total_seconds()
        return Grant(query=str(answer["token"]), until=lasting(left))
    except (KeyError, ValueError, TypeError):
        raise RemoteError(f"{endpoint} answers without token and msft:expiry") from None


def _cdse_web(address: str) -> Provider | None:
    """Copernicus Data Space by HTTPS: a token of OAuth 2 that lives ten minutes."""
    if host_of(address) not in _CDSE_HOSTS or not is_private(address):
        return None
    return Provider("cdse", _ask_cdse)


def _ask_cdse() -> Grant:
    endpoint = os.environ.get("OSM4EO_XR_CDSE_IDENTITY", _CDSE_IDENTITY)
    found = _login(host_of(endpoint))
    user = os.environ.get("CDSE_USERNAME") or (found and found[0])
    password = os.environ.get("CDSE_PASSWORD") or (found and found[1])
    if not user or not password:
        raise RemoteError(
            f"the Copernicus Data Space wants to know who reads; set CDSE_USERNAME and "
            f"CDSE_PASSWORD, or name {host_of(endpoint)} in .netrc"
        )
    form = {"grant_type": "password", "client_id": "cdse-public"}
    answer = ask_json(endpoint, form={**form, "username": user, "password": password})
    try:
        token, seconds = str(answer["access_token"]), float(answer["expires_in"])
    except (KeyError, ValueError, TypeError):
        raise RemoteError(f"{endpoint} answers without access_token and expires_in") from None
    return Grant(options=_header(token), until=lasting(seconds))


def _cdse_s3(address: str) -> Provider | None:
    """Copernicus Data Space by S3: its own endpoint and keys."""
    if not address.startswith("s3://") or host_of(address) != "eodata":
        return None
    return Provider("cdse s3", _ask_cdse_s3)


def _ask_cdse_s3() -> Grant:
    own = [os.environ.get(f"CDSE_S3_{name}_KEY") for name in ("ACCESS", "SECRET")]
    if not all(own) and not _has_aws_keys():
        raise RemoteError(
            "s3://eodata of the Copernicus Data Space is read with keys; set CDSE_S3_ACCESS_KEY "
            "and CDSE_S3_SECRET_KEY"
        )
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    keys = {name: key for name, key in zip(names, own, strict=True) if key} if all(own) else {}
    where = {"AWS_S3_ENDPOINT": os.environ.get("AWS_S3_ENDPOINT", _CDSE_S3)}
    return Grant(options={**where, "AWS_VIRTUAL_HOSTING": "FALSE"}, keys=keys)


def _s3(address: str) -> Provider | None:
    """Other buckets: GDAL finds the keys itself; who pays has to agree, who has none is nobody."""
    bucket = host_of(address)
    if not address.startswith("s3://"):
        return None
    if bucket in _PAYING:
        return Provider(f"s3 {bucket}", partial(_ask_payer, bucket))
    settled = "AWS_NO_SIGN_REQUEST" in os.environ  # by whoever runs us; GDAL obeys it
    return None if settled or _has_aws_keys() else Provider("s3", _nobody)


def _nobody() -> Grant:
    return Grant(options={"AWS_NO_SIGN_REQUEST": "YES"})


def _ask_payer(bucket: str) -> Grant:
    if os.environ.get("AWS_REQUEST_PAYER") != "requester" or not _has_aws_keys():
        raise RemoteError(
            f"s3://{bucket} makes its readers pay; set AWS_REQUEST_PAYER=requester and keys of "
            f"your account (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) to agree"
        )
    return Grant(options={"AWS_REQUEST_PAYER": "requester"})


def _has_aws_keys() -> bool:
    """Whether GDAL will find keys of Amazon's."""
    keys, config = (
        Path(os.environ.get(name, f"~/.aws/{file}")).expanduser()
        for name, file in (
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            ("AWS_CONFIG_FILE", "config"),
        )
    )
    if any(map(os.environ.get, _AWS_SOURCES)) or keys.is_file():
        return True
    try:  # many name a region alone
        return bool(_AWS_CONFIG.search(config.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return False


def _bearer(address: str) -> Provider | None:
    """Any host: a token that the environment or ``.netrc`` names for it."""
    host = host_of(address)
    if not address.startswith(("http://", "https://")) or not _token(host):
        return None
    if not is_private(address):
        raise RemoteError(f"{host} has a token, which is not sent unencrypted; use https")
    return Provider(f"bearer {host}", partial(_ask_bearer, host))


def _ask_bearer(host: str) -> Grant:
    return Grant(options=_header(_token(host)))


def _token(host: str) -> str:
    named = os.environ.get(f"OSM4EO_XR_BEARER_{re.sub('[^A-Z0-9]', '_', host.upper())}", "")
    found = None if named else _login(host)
    return named or (found[1] if found and found[0] == "bearer" else "")


def _login(host: str) -> tuple[str, str] | None:
    """Return login and password of a host in ``.netrc``."""
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        found = netrc.netrc(path).hosts.get(host.partition(":")[0])
    except OSError:
        return None
    except netrc.NetrcParseError as error:
        raise RemoteError(
            f"{path} is no .netrc: it cannot be read in line {error.lineno}"
        ) from None
    return (found[0], found[2] or "") if found else None


def _header(token: str) -> dict[str, str]:
    return {"GDAL_HTTP_HEADERS": f"Authorization: Bearer {token}"}
