"""What every service needs and no service owns: hosting, storage, messages, errors, credentials.

Holds no word of the business. A service declares itself with `ServiceApp` and is hosted by
`host.run`; everything here is written once for all of them.
"""
