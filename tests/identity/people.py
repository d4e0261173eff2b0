"""People who register and log in."""

import secrets

PASSWORD = "correct horse battery"
STAFF_KEY = "a-staff-key-that-is-long-enough-0001"


class Person:
    """A user of a tenant of its own."""

    def __init__(self, platform, email):
        self.platform = platform
        self.email = email
        self.session = {}
        self.tenant_id = self.id = ""

    @classmethod
    async def registered(cls, platform):
        person = cls(platform, f"p{secrets.token_hex(6)}@example.com")
        made = await person.post(
            "/auth/register", {"email": person.email, "password": PASSWORD}, 201
        )
        person.tenant_id, person.id = made["tenant_id"], made["id"]
        await person.log_in()
        return person

    async def log_in(self):
        body = {"email": self.email, "password": PASSWORD}
        self.session = await self.post("/auth/login", body, 200)

    def headers(self, **more):
        return {"Authorization": f"Bearer {self.session['access_token']}", **more}

    async def post(self, path, body, expect):
        headers = self.headers() if self.session else {"Authorization": ""}
        return await self.platform.request("POST", path, json=body, headers=headers, expect=expect)

    async def get(self, path, expect=200, **more):
        return await self.platform.request("GET", path, headers=self.headers(**more), expect=expect)


async def try_key(platform, key, path="/auth/me"):
    """Return the status and body of a call with an API key."""
    headers = {"Authorization": f"Bearer {key}"}
    async with platform.http.get(platform.url(path), headers=headers) as response:
        return response.status, await response.json(content_type=None)
