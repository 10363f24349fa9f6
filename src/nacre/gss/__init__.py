"""Security contexts of GSSAPI, both roles, by the library ``gssapi`` and Kerberos 5.

The library is loaded when a context is made. What it may have to ask of a key distribution center
runs in threads. Its errors become ``Denied`` with one line of safe text.
"""
