"""Every bound on what a peer controls, each with its default and its reason.

A field named ``*_octets`` counts bytes.
"""

from __future__ import annotations

from nacre.value import value

KIB = 1024
MIB = 1024 * 1024


@value
class Limits:
    """The bounds of one connection. Every length, count and queue that a peer controls has one."""

    version_line: int = 255
    """Bytes of an identification line with its line end (RFC 4253 section 4.2)."""

    version_lines_before: int = 1024
    """Lines a server may send before its identification; OpenSSH allows as many."""

    version_octets_before: int = 64 * KIB
    """Bytes of all those lines together: enough for a notice, too little for a flood."""

    packet: int = 256 * KIB
    """The largest packet_length accepted, in bytes. RFC 4253 section 6.1 requires 35,000."""

    held_input: int = 2 * MIB
    """Bytes buffered while a question that stops the packet loop waits for its answer."""

    kex_held_output: int = 1 * MIB
    """Bytes of messages held back during a key exchange, plus 64 for each message. Channel data is
    never held back."""

    name_list: int = 32 * KIB
    """Bytes of one name-list: the longest proposal seen in the field is below 2 KiB."""

    kex_names: int = 512
    """Names in one name-list of a proposal."""

    kex_unauthenticated: int = 4
    """Key exchanges before the user is authenticated. One is enough; each costs up to 10 ms of
    CPU time (100 ms without gmpy2), which an unauthenticated peer could otherwise use up without
    end."""

    kex_group_bits: int = 4096
    """Bits of the largest group that a server chooses in a group exchange: twice the bits cost four
    times as much, and 4096 are more than is known to be broken by far."""

    kex_seconds: float = 6.0
    """Seconds of a processor's time in a minute that Diffie-Hellman with all clients in one network
    (/32 or /64) may take in a process of a server: a tenth of a processor, or 800 exchanges in a
    group of 4096 bits with gmpy2. Further ones wait; 0 for no bound."""

    rekey_bytes: int = 1 << 30
    """Bytes in one direction after which this side starts a key exchange (RFC 4253 section 9)."""

    rekey_seconds: float = 3600.0
    """Seconds after which this side starts a new key exchange; 0 for never."""

    rekey_packets: int = 1 << 31
    """Packets under one key: RFC 4344 section 3.1 allows 2**32 at most."""

    auth_attempts: int = 6
    """Failed attempts after which a server disconnects."""

    host_rsa_bits: int = 1024
    """The least size of a host's RSA key that a client accepts. Shorter ones are never accepted."""

    user_rsa_bits: int = 1024
    """The least size of an RSA key with which a user may log in, as OpenSSH's. 1024 bits are within
    reach of attackers with means. An RSA1 key of SSH-1 is not bounded by it."""

    auth_requests: int = 64
    """Authentication requests, queries included, after which a server disconnects."""

    auth_prompts: int = 32
    """Prompts in one keyboard-interactive round."""

    auth_rounds: int = 16
    """Keyboard-interactive rounds in one attempt."""

    user_name: int = 1 * KIB
    """Bytes of a user name."""

    password: int = 8 * KIB
    """Bytes of a password or of one keyboard-interactive response."""

    identity_token: int = 32 * KIB
    """Bytes of an OpenPubkey token in a certificate: one has 2 KiB, and more with many claims."""

    security_token: int = 64 * KIB
    """Bytes of a token or MIC of GSSAPI: the largest ticket that Windows issues has as many."""

    mechanisms: int = 64
    """Mechanisms of GSSAPI that a client may offer in one request; there are about ten."""

    banner: int = 256 * KIB
    """Bytes of all authentication banners together that a client shows on one connection: what a
    packet holds, and so the longest one that OpenSSH's server sends."""

    channels: int = 1024
    """Channels open at once on one connection, opened by either side."""

    opening: int = 32
    """Forwarded connections that a server makes at once for one client: a browser makes as many for
    a page. Further ones wait."""

    sessions: int = 10
    """Sessions open at once that a server accepts on one connection (MaxSessions)."""

    listeners: int = 128
    """Ports that a server listens on at once for one client."""

    channel_requests: int = 256
    """Requests that wait for an answer at once, on one channel, or global ones."""

    request_name: int = 256
    """Bytes of a request's or channel type's name."""

    window_initial: int = 4 * MIB
    """Bytes of a channel's window when it is opened."""

    window_maximum: int = 32 * MIB
    """Bytes that a channel's window may grow to: enough for 1 Gbit/s over 250 ms."""

    windows_total: int = 128 * MIB
    """Bytes that the windows of all channels of one connection together may grow to."""

    packet_data: int = 128 * KIB
    """Bytes of data in one CHANNEL_DATA that this side accepts. Common peers send 32 KiB; larger
    packets cost less per byte, but an interactive channel may have to wait for one of them."""

    ssh1_output: int = 1 * MIB
    """Bytes waiting to be sent at which an SSH-1 connection accepts no more data: SSH-1 has no
    windows."""

    environment: int = 256
    """Environment variables that one session may set."""

    environment_octets: int = 128 * KIB
    """Bytes of those variables, names and values together."""

    command: int = 256 * KIB
    """Bytes of a command line."""

    extensions: int = 64
    """Extensions in one EXT_INFO (RFC 8308)."""

    unanswered_pings: int = 1024
    """Pings and global requests of this side that wait for an answer at once."""

    decompressed: int = 256 * KIB
    """Bytes that one packet's payload may have after decompression."""

    decompressed_requests: int = 4 * MIB
    """Bytes that messages other than channel data may have after decompression, in one portion of
    input: windows bound channel data only, and zlib can expand one byte to a thousand."""


DEFAULT_LIMITS = Limits()


@value
class SFTPLimits:
    """The bounds of one SFTP or scp session."""

    packet: int = 257 * KIB
    """Bytes of one packet without its length field: OpenSSH's 256 KiB, and room for a header."""

    read: int = 255 * KIB
    """Bytes that one READ returns or one WRITE accepts: what OpenSSH's server announces."""

    handles: int = 512
    """Files and directories that a client may keep open at once."""

    requests: int = 128
    """Requests that a server works on at once; further ones wait in the channel's window."""

    request_octets: int = 8 * MIB
    """Bytes that those requests read or write together."""

    pending: int = 4096
    """Requests of a client that wait for an answer at once: 128 MiB in READs of 32 KiB."""

    extensions: int = 128
    """Extensions in one INIT or VERSION; OpenSSH's server announces 11."""

    attribute_extensions: int = 64
    """Extended attributes of one file."""

    handle: int = 256
    """Bytes of a handle (draft-ietf-secsh-filexfer-02 section 6.3)."""

    gap: int = 32 * MIB
    """Zeros that one request adds to a file of a storage that has no sparse files.

    A client that has many WRITEs in flight may be ahead by as much.
    """

    spool: int = 1024 * MIB
    """Bytes of a session's open files of such a storage that are changed, each in a local copy."""

    scp_line: int = 8 * KIB
    """Bytes of one scp record or answer: far more than an escaped name of 255 bytes needs."""

    scp_depth: int = 128
    """Depth of nested directories that an scp source may send."""

    glob_alternatives: int = 1024
    """Patterns that the braces of one scp pattern may expand to."""


DEFAULT_SFTP_LIMITS = SFTPLimits()
