"""The second factors of users: codes, recovery codes, and security keys of the web console."""
