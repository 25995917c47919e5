"""Rasters at addresses: who grants access, for how long, and what to do when a server fails.

Addresses travel unsigned through items, graphs, ledgers and reports. The thread that reads signs.

What others may use:

- ``addresses``: which paths are remote
- ``attempts``: ``attempted``: do something with an address, signed and tried again
- ``waiting``: ``at_once``: do something with several addresses while each waits for the network
- ``objects``: ``read_object``, ``zip_at``: whole objects and zips, for stores of many files
- ``downloads``: ``download``: an object into a file, bounded, going on where it was cut off
- ``access``: ``hide``: a text without secrets
- ``failures``: ``RemoteError``: what cannot be read now

Variables of the environment that settle access, beside those that GDAL reads by itself
(https://gdal.org/en/stable/user/virtual_file_systems.html):

- ``PC_SDK_SUBSCRIPTION_KEY``: key for Microsoft's Planetary Computer; it serves without one
- ``OSM4EO_XR_SAS_ENDPOINT``, ``OSM4EO_XR_SAS_HOSTS``: another server that signs links of Azure's
  blobs, and the hosts, divided by commas, whose links it signs
- ``CDSE_USERNAME``, ``CDSE_PASSWORD``: of the Copernicus Data Space, for its links by HTTPS; left
  out, those of ``identity.dataspace.copernicus.eu`` in ``.netrc``
- ``CDSE_S3_ACCESS_KEY``, ``CDSE_S3_SECRET_KEY``: of the Copernicus Data Space, for ``s3://eodata``
- ``OSM4EO_XR_BEARER_HOST``: a token for one host, its name in capitals and with ``_`` for all else;
  left out, the password of an entry of that host in ``.netrc`` whose login is ``bearer``
- ``AWS_REQUEST_PAYER=requester``: agrees to pay for reading from buckets that ask for it
"""
