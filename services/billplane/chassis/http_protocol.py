"""What uvicorn itself refuses is told as everything else that is refused."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from billplane.chassis import ids
from billplane.chassis.errors import MalformedBody, problem_json


class HttpMalformed(MalformedBody):
    """The bytes are no HTTP request."""

    reason = "HTTP_MALFORMED"


class HttpProtocol(HttpToolsProtocol):
    """The server's protocol; answers bytes that are no request with problem+json."""

    def send_400_response(self, msg: str) -> None:
        """Answer before there is a request that an app could answer."""
        request_id = ids.new("req")
        body = problem_json(HttpMalformed(msg), request_id)
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
