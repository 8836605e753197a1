"""moto's S3 server on loopback: the real protocol, with its own signatures, policies and conditional reads."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import botocore.session
from moto.server import ThreadedMotoServer

from hallmark_services.sidecar.downloads import Credentials, DownloadSettings
from selftests.sidecar.downloads.fetching import settings

READ = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'


class ObjectServer:
    """The server, and an administrator's client of it."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.client = self._client("s3")

    def _client(self, service: str) -> Any:
        return botocore.session.Session().create_client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="administrator",
            aws_secret_access_key="administrator",
        )

    def stop(self) -> None:
        self._server.stop()

    def put(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        self.client.create_bucket(Bucket=bucket)
        for key, body in objects.items():
            self.client.put_object(Bucket=bucket, Key=key, Body=body)

    def put_in_parts(self, bucket: str, key: str, parts: list[bytes]) -> None:
        """An object whose tag is the MD5 of its parts' MD5s; each part but the last has at least 5 MiB."""
        upload = self.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        done = [
            {"PartNumber": number, "ETag": self._part(bucket, key, upload, number, body)} for number, body in enumerate(parts, 1)
        ]
        self.client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})

    def _part(self, bucket: str, key: str, upload: str, number: int, body: bytes) -> str:
        answer = self.client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)
        return str(answer["ETag"])

    def new_user(self, name: str) -> tuple[str, str]:
        """(access key, secret key) of a user who may read everything."""
        iam = self._client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="read", PolicyDocument=READ)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return made["AccessKeyId"], made["SecretAccessKey"]

    def check_signatures(self, after: float) -> None:
        """Let this many requests more go unchecked (0: every request is checked from now on; inf: none)."""
        url = f"{self.url}/moto-api/reset-auth"
        request = urllib.request.Request(url, data=str(after).encode(), method="POST", headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(request).read()


def store_settings(root: Path, url: str, key: str = "a-key-id", secret: str = "a-secret-key", **given: Any) -> DownloadSettings:
    return settings(root, credentials=Credentials(endpoint=url, access_key=key, secret_key=secret), **given)
