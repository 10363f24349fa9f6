"""What the manual pages say besides the options: sections of paragraphs, by program and title.

A paragraph that begins with code in backquotes and a colon becomes an entry of a list.
"""

from __future__ import annotations

from collections.abc import Mapping

_FILES = (
    "`~/.ssh/known_hosts`: The host keys that the user has accepted.",
    "`/etc/ssh/ssh_known_hosts`: The host keys that the administrator has accepted.",
    "`~/.ssh/id_ed25519`, `~/.ssh/id_ecdsa`, `~/.ssh/id_rsa`, `~/.ssh/id_dsa`: Keys that are "
    "offered where -i names none.",
)

_ENVIRONMENT = (
    "`SSH_AUTH_SOCK`: The socket of the agent.",
    "`SSH_ASKPASS`, `SSH_ASKPASS_REQUIRE`: The program that asks for passwords and passphrases, "
    "and when to use it.",
)

_ASKS = {
    "Exit status": (
        "0 if all went well, 1 if no server runs with the state directory or the account may not "
        "ask it, and 2 for wrong arguments.",
    )
}

_SHOWS = {
    "Exit status": (
        "That of the session. 255 if a signal has ended it, its client has left, or its process is "
        "gone. 0 for who leaves, 1 if there is nothing to show, and 2 for wrong arguments.",
    )
}

_STORES = ("`NACRE_STORE`: The URL of a database that servers share, the default of --store.",)

SECTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "agent": {
        "Examples": (
            '`eval "$(nacre agent -s)"`: Start an agent for the programs of this shell.',
            "`nacre agent -t 8h startx`: Start one for a session; it forgets keys after 8 hours.",
            "`nacre agent -k`: End it.",
            "`systemd-run --user nacre agent -D -a ~/.ssh/agent.sock`: Run one at a known path.",
        ),
        "Signals": (
            "`SIGTERM`, `SIGHUP`: Remove the socket, and end.",
            "`SIGUSR1`: Forget all keys.",
        ),
        "Environment": (
            "`SSH_AUTH_SOCK`, `SSH_AGENT_PID`: The socket and the process of the agent; the "
            "command of the agent gets both.",
            "`SSH_ASKPASS`, `SSH_ASKPASS_REQUIRE`, `DISPLAY`, `WAYLAND_DISPLAY`: The program that "
            "asks before a key is used that was added with -c of ssh-add, and when there is one.",
            "`TMPDIR`: Where the directory of the socket is made; by default /tmp.",
        ),
        "Files": ("`$TMPDIR/ssh-*/agent.PID`: The socket. Only its owner can use it, and root.",),
        "Exit status": (
            "0 in front of an agent in the background, and of -k. 1 for wrong options, and when "
            "there is no agent to end. An agent ends with 2. With a command, the command's.",
        ),
    },
    "audit": {
        "Examples": (
            "`nacre audit --user alice --since 2d --path '/in/*'`: What alice has done with these "
            "files in the last two days.",
            "`nacre audit --event login --outcome refused -f`: Follow the logins that are refused.",
            "`nacre audit verify --head 4711:9f86…`: Verify all, and that the event which was the "
            "last when its hash was noted is still the same.",
            "`nacre audit remove --keep 90d`: Remove what is older.",
        ),
        "Files": ("`audit.db` in the state directory: The table. Only its owner can read it.",),
        "Exit status": (
            "0 if all went well, 1 if not or if verify has found something, and 2 for wrong "
            "arguments.",
        ),
    },
    "api": {
        "Examples": (
            "`nacre api key create ci --scope users:read --expires 90d`: Make a key for a script.",
            "`nacre api key list`: Which keys there are, what for, and until when.",
            "`nacre api key revoke ci`: Take it back.",
            "`nacre api openapi`: Print the document of OpenAPI.",
        ),
    },
    "console": {
        "Examples": (
            "`nacre api key create console --scope sessions:write --expires 365d > console.key`: "
            "Make its key, with umask 077.",
            "`nacre user set alice --role admin`: Let a user do everything there.",
            "`nacre console --key-file console.key`: Serve it on 127.0.0.1:8080.",
            "`nacre console --key-file console.key --listen 192.0.2.1:443 --cert chain.pem "
            "--cert-key key.pem`: Serve it to others.",
        ),
    },
    "ban": {
        "Examples": (
            "`nacre ban add --for 1d --reason scans 192.0.2.0/24`: Keep a network out for a day.",
            "`nacre ban add --allow 198.51.100.7`: Never ban this address.",
            "`nacre ban list`: What is banned now, until when, and why.",
        ),
        "Environment": _STORES,
    },
    "ca": {
        "Examples": (
            "`nacre ca init`: Make the authorities' keys.",
            "`nacre group set staff --certificate-valid 8h`: Let a group's users get certificates.",
            "`nacre ca get -p 2222 alice@host`: Get one, beside the newest key in ~/.ssh.",
            "`nacre ca sign-host --key /etc/ssh/ssh_host_ed25519_key host`: Sign a host's.",
            "`nacre ca revoke --user alice`: Revoke all certificates of a user.",
        ),
        "Files": (
            "`STATE/ca/user_ca`, `STATE/ca/host_ca`: The authorities' keys, with their public keys "
            "in files of the same names with .pub.",
            "`STATE/ca/revoked`: The KRL.",
        ),
        "Exit status": ("0 if all went well, 1 if not, and 2 for wrong arguments.",),
    },
    "copy-id": {
        "Examples": (
            "`nacre copy-id user@host`: Install the keys of the agent.",
            "`nacre copy-id -i ~/.ssh/id_ed25519 -s user@host`: Install one key by SFTP.",
        ),
        "Files": (
            "`~/.ssh/authorized_keys` on the host: Gets a line for each key; made with its "
            "directory if it is missing. Where Dropbear has /etc/dropbear/authorized_keys and the "
            "user may write it, that one.",
        ),
        "Exit status": (
            "0 if the keys are installed, also if they were before. 1 for errors. The users of "
            "nacre serve have no such file unless it serves the accounts of the system: `nacre "
            "user key add` gives them keys.",
        ),
    },
    "fleet": {
        "Examples": (
            "`nacre fleet run -H 'web[01-50],@db' --inventory hosts.ini uptime`: Run a command.",
            "`nacre fleet run -H @web --canaries 1 --batch 10 --max-failures 0 reboot`: Try one "
            "host first, then ten at a time, and stop at the first that fails.",
            "`nacre fleet copy -H web[01-50] app.tar /srv/`: Copy a file to each host.",
            "`nacre fleet get -H @db /var/log/syslog logs`: Fetch a file of each host.",
            "`nacre fleet resume`: Go on with the last run.",
        ),
        "Verdicts": (
            "`ok`: The task was done.",
            "`failed`: It was not done, and the host said so: an exit status, an error of a file.",
            "`refused`: There was no login or no session, so nothing was done.",
            "`timeout`: The time was over, in the phase that is named; in `run` the task had "
            "begun.",
            "`unknown`: The task had begun, and its end was not seen.",
            "`skipped`: The host's turn did not come, so nothing was done.",
        ),
        "Files": (
            "`~/.local/state/nacre/fleet.db`: The runs, with what hosts have printed. Only its "
            "owner can read it.",
        ),
        "Exit status": (
            "0 if the task was done at each host, 1 if not, 2 for wrong arguments, 130 after "
            "Ctrl-C, and 255 if the run could not be done.",
        ),
    },
    "hook": {
        "Examples": (
            "`nacre hook add mail --on upload --command '/usr/local/bin/notify --to ops'`: Run a "
            "program for each file that was stored.",
            "`nacre hook add events --url https://example.com/nacre --secret-file "
            "/etc/nacre/hook.key`: Send everything to a server.",
            "`nacre hook test events`: See whether that works.",
            "`nacre hook status`: How far each one is, and why it fails.",
        ),
        "Files": ("`audit.db` in the state directory: The hooks, and the events.",),
        "Exit status": (
            "0 if all went well, 1 if not or if a test did not arrive, and 2 for wrong arguments.",
        ),
    },
    "keyscan": {
        "Examples": (
            "`nacre keyscan -t ed25519 host`: Print one key of a host.",
            "`nacre keyscan -H -f hosts >> ~/.ssh/known_hosts`: Add all hosts of a file, hashed.",
            "`nacre keyscan -q -D host`: Print records for the DNS.",
        ),
        "Exit status": (
            "0 if there was a key. 1 if there was none, and for wrong options. 255 if a file can't "
            "be read.",
        ),
    },
    "ssh": {
        "Escape sequences": (
            "On a terminal, at the beginning of a line:",
            "`~.`: End the connection.",
            "`~^Z`: Suspend the program.",
            "`~B`: Send a BREAK.",
            "`~R`: Exchange new keys.",
            "`~#`: Show the algorithms, and list forwarded connections.",
            "`~?`: List the escape sequences.",
            "`~~`: Send a tilde.",
        ),
        "Examples": (
            "`nacre ssh alice@example.org`: Log in.",
            "`nacre ssh -p 2222 alice@example.org uname -a`: Run a command.",
            "`nacre ssh -N -L 8080:db.internal:80 alice@example.org`: Let port 8080 of this "
            "machine lead to port 80 of a host that the server can reach.",
            "`nacre ssh -Q HostKeyAlgorithms`: List the host key algorithms.",
        ),
        "Environment": _ENVIRONMENT,
        "Files": _FILES,
        "Exit status": (
            "That of the remote command. 255 for an error, and where a signal ended the command.",
        ),
    },
    "trace": {
        "Examples": (
            "`nacre trace alice@example.org true`: Show what is sent for a command.",
            "`nacre trace --json example.org`: The same for the shell, an object in each line.",
            "`nacre trace --html trace.html example.org true`: Write a page to look at.",
        ),
        "Environment": (
            *_ENVIRONMENT,
            "`NO_COLOR`: If set, the text has no colours.",
        ),
        "Exit status": ("That of the remote command, or 255 for an error.",),
    },
    "sftp": {
        "Examples": (
            "`nacre sftp alice@example.org`: Read commands from the terminal.",
            "`nacre sftp example.org:notes.txt /tmp`: Download a file.",
            "`nacre sftp -b commands example.org`: Carry out the commands of a file.",
        ),
        "Environment": (*_ENVIRONMENT, "`SHELL`: The shell that the command ! starts."),
        "Files": _FILES,
        "Exit status": (
            "0 if all commands were carried out. 1 if one of them failed that ends a batch, or "
            "for a wrong number of arguments. 255 for another error.",
        ),
    },
    "scp": {
        "Examples": (
            "`nacre scp -r photos alice@example.org:backup/`: Upload a directory.",
            "`nacre scp example.org:/etc/motd .`: Download a file.",
        ),
        "Environment": _ENVIRONMENT,
        "Files": _FILES,
        "Exit status": (
            "0 if all files were copied. 1 if one of them was not, or for wrong arguments. 255 "
            "for an error of a connection.",
        ),
    },
    "add": {
        "Examples": (
            "`nacre add`: Add the usual keys.",
            "`nacre add -t 8h -c ~/.ssh/id_work`: Add a key for a day of work, and be asked before "
            "each use.",
            "`nacre add -h gate -h 'gate>alice@db' key`: Add a key for logins to the host gate, "
            "and for logins of alice to db from there, with the agent forwarded to gate.",
            "`nacre add -l`: List what the agent holds.",
        ),
        "Environment": (
            "`SSH_AUTH_SOCK`: The socket of the agent.",
            "`SSH_ASKPASS`, `SSH_ASKPASS_REQUIRE`: The program that asks for passphrases, and when "
            "to use it.",
            "`SSH_SK_PROVIDER`: The library that talks to security keys, for -S.",
        ),
        "Exit status": (
            "0 if all went well. 1 if something did not, or the agent has no keys to list. 2 if "
            "there is no agent. 255 for options that contradict each other, and for a host of -h "
            "whose key is not known.",
        ),
    },
    "keygen": {
        "Examples": (
            "`nacre keygen`: Make an Ed25519 key, and ask for its file and its passphrase.",
            "`nacre keygen -l -f key.pub`: Show the fingerprint of a key.",
            "`nacre keygen -R example.org`: Forget the host keys of a host.",
            "`nacre keygen -s ca -I alice -n alice -V +1d key.pub`: Certify a key for a day.",
            "`nacre keygen -t ed25519-sk -O verify-required`: Make a key on a security key, which "
            "asks for its PIN before each signature. Further values of -O for such keys: resident, "
            "no-touch-required, application=ssh:NAME, user=NAME, challenge=FILE, "
            "write-attestation=FILE, device=PATH.",
            "`nacre-ssh-keygen -A`: Make the host keys that are missing.",
        ),
        "Environment": (
            "`SSH_ASKPASS`: The program that asks for passphrases.",
            "`SSH_SK_PROVIDER`: The library that reaches security keys, where no -w names one.",
        ),
        "Exit status": (
            "0 if all went well. 1 if nothing was found, if a question was answered with no, and "
            "for wrong arguments. 255 for an error.",
        ),
    },
    "sftp-server": {
        "Examples": (
            "`Subsystem sftp /usr/bin/nacre-sftp-server -l INFO`: A line of sshd_config.",
            '`nacre sftp -D "nacre-sftp-server -R"`: Look at the files of this machine.',
        ),
        "Exit status": ("0 at the end of a session, and 1 for wrong options.",),
    },
    "replay": {
        "Examples": (
            "`nacre replay list /var/lib/recordings --user alice --since 7d`: List what alice did "
            "in a week.",
            "`nacre replay --idle-limit 2 FILE`: Play a recording without long pauses.",
            "`nacre replay --key audit.key --search passwd FILE`: Tell when a text was printed.",
        ),
        "Exit status": (
            "0, or 1 for a recording that is damaged or was cut off, for a search that finds "
            "nothing, and for an error; 130 after Ctrl-C.",
        ),
    },
    "serve": {
        "Examples": (
            "`nacre serve --listen :2222`: Serve the users of the store, on all addresses.",
            "`nacre serve --users system -o PasswordAuthentication=no`: Serve the accounts of this "
            "system, to keys only.",
        ),
        "Signals": (
            "`SIGHUP`: Read the file of -f, the host keys and the banner again, for new "
            "connections.",
            "`SIGTERM`, `SIGINT`: Stop the server. Open sessions get five seconds to end, or none "
            "after a second signal.",
        ),
        "Environment": (
            *_STORES,
            "`XDG_STATE_HOME`: The directory of `nacre`, the default of --state.",
        ),
        "Exit status": (
            "0 after a stop, 1 when the server can't start, and 2 for wrong arguments.",
        ),
    },
    "ssh-keysign": {
        "Files": (
            "`/etc/ssh/ssh_config`: The configuration, in which `EnableSSHKeysign yes` switches it "
            "on.",
            "`/etc/ssh/ssh_host_*_key`: The keys of this host.",
        ),
        "Exit status": ("0 with a signature, and 255 without one: a message says why.",),
    },
    "sshd": {
        "Examples": (
            "`nacre-sshd -t`: Check the configuration.",
            "`nacre-sshd -D -e -p 2222`: Serve on port 2222, and log to standard error.",
            '`ssh -o ProxyCommand="nacre-sshd -i" host`: Serve one connection over pipes.',
        ),
        "Signals": (
            "`SIGHUP`: Read the configuration, the host keys and the banner again, for new "
            "connections. Open ones go on. If the file is wrong, nothing changes, and the log "
            "names its line. With -i and -d it ends the program.",
            "`SIGTERM`, `SIGINT`: Stop the server. Open sessions get five seconds to end, or none "
            "after a second signal.",
        ),
        "Files": (
            "`/etc/ssh/sshd_config`: The configuration.",
            "`/etc/ssh/ssh_host_*_key`: The host keys, unless HostKey names others.",
            "`/run/sshd.pid`: The number of the process, unless PidFile names another file.",
        ),
        "Exit status": (
            "0 after a stop, and after a test without an error. 1 for wrong options, and in a test "
            "without host keys. 255 for a wrong file, and when the server can't start.",
        ),
    },
    "ssh_config": {
        "Files": (
            "`~/.ssh/config`: The user's configuration. It must not be writable by others.",
            "`/etc/ssh/ssh_config`: The configuration of all users.",
        ),
    },
    "sshd_config": {
        "Files": ("`/etc/ssh/sshd_config`: The configuration of sshd; `-f` may name it.",),
    },
    **dict.fromkeys(("log", "top", "who"), _ASKS),
    "restart": {
        "Exit status": (
            "0 when the new process serves, 1 if the old one goes on as before, and 2 for wrong "
            "arguments.",
        )
    },
    "kill": {
        "Exit status": (
            "0 if all that was named was ended, 1 if nothing was, 3 if a part was, and 2 for wrong "
            "arguments.",
        )
    },
    **dict.fromkeys(("join", "watch"), _SHOWS),
    "group": {
        "Environment": _STORES,
    },
    "nodes": {
        "Environment": _STORES,
    },
    "user": {
        "Environment": _STORES,
        "Exit status": ("0 if all went well, 1 if not, and 2 for wrong arguments.",),
    },
}

CONFIGURATION: Mapping[str, tuple[str, ...]] = {
    "ssh_config": (
        "The values of `-o` and of other options come first, then those of `~/.ssh/config`, then "
        "those of `/etc/ssh/ssh_config`. `-F FILE` names a file in place of both, and `-F none` "
        "reads none.",
        "A line is a keyword, in any case, and its value, with a blank or `=` between them. A "
        "value with blanks is quoted. `#` begins a comment. `Host` and `Match` begin blocks, which "
        "apply to some connections only.",
        "The first value of a keyword counts. Of some keywords all values count: they add up.",
    ),
    "sshd_config": (
        "The values of `-o` come first, then those of the file of `-f`.",
        "A line is a keyword, in any case, and its value, with a blank or `=` between them. A "
        "value with blanks is quoted. `#` begins a comment. `Include` names other files, with "
        "patterns; a relative name is one in `/etc/ssh`.",
        "`Match` begins a block for connections that meet all of its criteria: `user`, `group`, "
        "`host`, `address`, `localaddress`, `localport` and `rdomain`, each with a list of "
        "patterns, `version`, `invalid-user`, and `all` alone.",
        "The first value of a keyword counts. The first one of the blocks that apply wins over the "
        "one outside of blocks. Of some keywords all values count: they add up, and those of "
        "blocks replace those outside.",
    ),
}
"""What is told of each configuration, besides its keywords."""
