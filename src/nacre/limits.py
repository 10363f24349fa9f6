"""Every bound on what a peer controls: its name, its default, its reason."""

from __future__ import annotations

from nacre.value import value

KIB = 1024
MIB = 1024 * 1024


@value
class Limits:
    """The bounds of one connection. No length, count or queue of a peer's is used unchecked."""

    version_line: int = 255
    """Bytes of an identification line with its line end (RFC 4253 section 4.2)."""

    version_lines_before: int = 1024
    """Lines a server may send before its identification; OpenSSH allows as many."""

    version_octets_before: int = 64 * KIB
    """Bytes of all those lines together: a login script's text fits, a flood does not."""

    packet: int = 256 * KIB
    """The largest packet_length taken. RFC 4253 section 6.1 demands 35,000."""

    held_input: int = 2 * MIB
    """Bytes kept while a question that stops the packet loop waits for its answer."""

    kex_held_output: int = 1 * MIB
    """Bytes of messages kept back while a key exchange is on, and 64 for each; data is not among
    them."""

    name_list: int = 32 * KIB
    """Bytes of one name-list: the longest proposal seen in the field is below 2 KiB."""

    kex_names: int = 512
    """Names in one name-list of a proposal."""

    kex_unauthenticated: int = 4
    """Key exchanges before the user is in. One is enough; each costs up to 100 ms of arithmetic,
    and a stranger could ask for them without end."""

    rekey_bytes: int = 1 << 30
    """Bytes in one direction before this side asks for a new key exchange (RFC 4253 section 9)."""

    rekey_seconds: float = 3600.0
    """Seconds after which this side starts a new key exchange; 0 is never."""

    rekey_packets: int = 1 << 31
    """Packets under one key: RFC 4344 section 3.1 sets 2**32 as the most a MAC allows."""

    auth_attempts: int = 6
    """Failed attempts on a server before it disconnects."""

    auth_requests: int = 64
    """Authentication requests of any outcome, queries included, before a server disconnects."""

    auth_prompts: int = 32
    """Prompts in one keyboard-interactive round."""

    auth_rounds: int = 16
    """Keyboard-interactive rounds in one attempt."""

    user_name: int = 1 * KIB
    """Bytes of a user name."""

    password: int = 8 * KIB
    """Bytes of a password or of one keyboard-interactive response."""

    banner: int = 64 * KIB
    """Bytes of authentication banners a client shows on one connection, all together."""

    channels: int = 1024
    """Channels open at once on one connection, whoever opened them."""

    sessions: int = 10
    """Sessions open at once on one connection that a server accepts (MaxSessions)."""

    listeners: int = 128
    """Ports that a server listens on at once for one client."""

    channel_requests: int = 256
    """Requests of one channel, or global ones, that wait for an answer at once."""

    request_name: int = 256
    """Bytes of a request's or channel type's name."""

    window_initial: int = 4 * MIB
    """Bytes a channel's peer may send at first."""

    window_maximum: int = 32 * MIB
    """What a channel's window grows to: 1 Gbit/s over 250 ms."""

    windows_total: int = 128 * MIB
    """What the windows of one connection's channels may grow to, all together."""

    packet_data: int = 128 * KIB
    """Bytes of data in one CHANNEL_DATA that this side accepts. All peers send 32 KiB; larger ones
    cost less per byte, and one packet is what an interactive channel may have to wait for."""

    ssh1_output: int = 1 * MIB
    """Bytes of an SSH-1 connection that wait to be sent, at which it takes no more data: SSH-1 has
    no windows."""

    environment: int = 256
    """Environment variables one session may set."""

    environment_octets: int = 128 * KIB
    """Bytes of those variables, names and values together."""

    command: int = 256 * KIB
    """Bytes of a command line."""

    extensions: int = 64
    """Extensions in one EXT_INFO (RFC 8308)."""

    unanswered_pings: int = 1024
    """Pings and global requests of this side that wait for an answer at once."""

    decompressed: int = 256 * KIB
    """Bytes one packet's payload may grow to when decompressed."""

    decompressed_requests: int = 4 * MIB
    """Bytes that all but channel data grows to in one portion of input: windows bound data alone,
    and zlib makes a thousand bytes of one."""


DEFAULT_LIMITS = Limits()


@value
class SFTPLimits:
    """The bounds of one SFTP or scp session."""

    packet: int = 257 * KIB
    """Bytes of one packet without its length field: OpenSSH's 256 KiB, and room for a header."""

    read: int = 255 * KIB
    """Bytes one READ returns, and one WRITE takes: what OpenSSH's server announces."""

    handles: int = 512
    """Files and directories a client keeps open at once."""

    requests: int = 128
    """Requests a server works on at once; the rest waits in the channel's window."""

    request_octets: int = 8 * MIB
    """Bytes those requests read or write together."""

    pending: int = 4096
    """Requests of a client that wait for an answer at once: 128 MiB of 32 KiB reads."""

    extensions: int = 128
    """Extensions in one INIT or VERSION; OpenSSH's server announces 11."""

    attribute_extensions: int = 64
    """Extended attributes of one file."""

    handle: int = 256
    """Bytes of a handle (draft-ietf-secsh-filexfer-02 section 6.3)."""

    scp_line: int = 8 * KIB
    """Bytes of one scp record or answer: a name of 255, escaped, fits many times."""

    scp_depth: int = 128
    """Directories inside each other that an scp source may send."""

    glob_alternatives: int = 1024
    """Patterns that the braces of one scp pattern may stand for."""


DEFAULT_SFTP_LIMITS = SFTPLimits()
