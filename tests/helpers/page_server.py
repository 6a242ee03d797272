"""tools/serve in a process of its own, and a plain client of it."""

import http.client
import io
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

TOOL = Path(__file__).resolve().parents[2] / "tools" / "serve"


@contextmanager
def serving(run, *options, **environment):
    """Run tools/serve on a free port; yields its Client. Afterwards it is asked to end, and must."""
    command = [sys.executable, TOOL, run, "--port", "0", *options]
    process = subprocess.Popen(
        command, env=os.environ | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("http://127.0.0.1:"):
                yield Client(process, int(line.split(":")[2].split("/")[0]), "".join(said))
                break
        else:
            raise AssertionError(f"no address: {''.join(said)}{process.stderr.read()}")
    finally:
        process.terminate()
        process.communicate(timeout=30)


class Client:
    """Requests to a server; answers as (status, headers, JSON or bytes)."""

    def __init__(self, process, port, said):
        self.process, self.port, self.said = process, port, said
        self.address = f"http://127.0.0.1:{port}"

    def get(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        try:
            connection.request(method, path, body, named)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        is_json = response.getheader("Content-Type") == "application/json"
        return response.status, response.headers, json.loads(content) if is_json else content

    def post(self, path, text=None, picture=None, name="picture.png"):
        fields = {} if text is None else {"text": text}
        if picture is not None:
            fields["picture"] = FileStorage(io.BytesIO(picture), name)
        boundary, body = encode_multipart(fields)
        return self.get(path, "POST", body, Content_Type=f"multipart/form-data; boundary={boundary}")
