"""A mail server for tests: aiosmtpd on a free port, which it writes on stdout.

Usage: smtp_server.py FOLDER [PORT [USER PASSWORD]]. Each mail becomes FOLDER/N.json. While there is a file FOLDER/answer,
its line says what is refused, and how: "RCPT 550 no such member", "DATA 554 spam", "EHLO 550 go away".
"""

import asyncio
import json
import logging
import pathlib
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


class Mailbox:
    def __init__(self, folder):
        self.folder = folder

    def refusal(self, stage):
        try:
            line = (self.folder / "answer").read_text().strip()
        except FileNotFoundError:
            return None
        wanted, text = line.split(" ", 1)
        return text if wanted == stage else None

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        refusal = self.refusal("EHLO")
        return [refusal] if refusal else responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        refusal = self.refusal("RCPT")
        if refusal:
            return refusal.replace("ADDRESS", address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        refusal = self.refusal("DATA")
        if refusal:
            return refusal
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.content.decode(),
            "login": bool(session.authenticated),
        }
        number = len(list(self.folder.glob("*.json"))) + 1
        (self.folder / f"{number}.json").write_text(json.dumps(mail))
        return "250 taken"


async def main(folder, port="0", user=None, password=None):
    # That a login without TLS is unwise.
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    def is_right(server, session, envelope, mechanism, data):
        right = (user.encode(), password.encode())
        # Not handled: aiosmtpd answers.
        return AuthResult(success=(data.login, data.password) == right, handled=False)

    def session():
        return SMTP(
            Mailbox(pathlib.Path(folder)),
            hostname="mail.test",
            authenticator=is_right if user else None,
            auth_required=bool(user),
            auth_require_tls=False,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", int(port))
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
